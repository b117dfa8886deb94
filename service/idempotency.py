"""Idempotency keys: a POST that is sent again has its effect once, and the same response.

https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header-07

The key, the effect and the response are one transaction: the view's own commit becomes a
savepoint of it. So there is no moment in which the effect is there and the key is not. A response
that must not be stored (Cache-Control: no-store) is not kept: an access token is a secret.
"""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from flask import Response, g, make_response, request
from flask.typing import ResponseReturnValue
from sqlalchemy import LargeBinary, UniqueConstraint, delete, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import db
from service.cleaning import remove
from service.db import Model, database
from service.errors import BadRequest, Conflict, Invalid
from service.queue import job
from service.sessions import AFTER_COMMIT

_KEY = re.compile(r"[!-~]{1,255}")
KEPT = timedelta(days=1)
_KEPT_HEADERS = ("Content-Type", "Location")


class IdempotencyKey(Model):
    """A POST that succeeded, for as long as KEPT."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (UniqueConstraint("user_id", "key"),)

    user_id: Mapped[UUID]
    key: Mapped[str]
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)  # SHA-256 of path and body
    status: Mapped[int]
    headers: Mapped[list[list[str]]] = mapped_column(JSONB)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)

    def response(self) -> Response:
        return Response(self.body, self.status, [(name, value) for name, value in self.headers])


def once(user_id: UUID, view: Callable[[], ResponseReturnValue]) -> ResponseReturnValue:
    """The response of the view, or the one it gave when the key was first sent.

    Raises 400 for a malformed key, 409 while the first request runs, 422 for another body.
    """
    key = request.headers["Idempotency-Key"]
    if not _KEY.fullmatch(key):
        raise BadRequest("An Idempotency-Key is 1 to 255 visible ASCII characters.")
    db.close()  # or this request would hold two connections, and starve others of theirs
    with database().session() as outer:
        _claim(outer, user_id, key)
        fingerprint = hashlib.sha256(request.full_path.encode() + b"\n" + request.get_data())
        if found := _find(outer, user_id, key):
            if found.fingerprint != fingerprint.digest():
                raise Invalid("This Idempotency-Key was used for another request.")
            return found.response()
        response = _inside(outer, view)
        if response.status_code < 300 and not response.cache_control.no_store:
            outer.add(_kept(user_id, key, fingerprint.digest(), response))
        outer.commit()
        return response


def forget(user_id: UUID) -> None:
    """Delete all keys of a user, in the session's transaction."""
    db.session.execute(delete(IdempotencyKey).where(IdempotencyKey.user_id == user_id))


def _inside(outer: Session, view: Callable[[], ResponseReturnValue]) -> Response:
    """The response of the view, whose session is a savepoint of the outer transaction."""
    g.session = Session(
        outer.connection(),
        expire_on_commit=False,
        join_transaction_mode="create_savepoint",
        info={AFTER_COMMIT: outer.info.setdefault(AFTER_COMMIT, [])},
    )
    try:
        return make_response(view())
    finally:
        db.close()


def _claim(outer: Session, user_id: UUID, key: str) -> None:
    """Hold the key until the transaction ends, however it ends."""
    name = {"name": f"idempotency:{user_id}:{key}"}
    claim = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
    if not outer.execute(claim, name).scalar_one():
        raise Conflict("The first request with this key still runs.", headers={"Retry-After": "1"})


def _find(outer: Session, user_id: UUID, key: str) -> IdempotencyKey | None:
    query = select(IdempotencyKey).where(
        IdempotencyKey.user_id == user_id, IdempotencyKey.key == key
    )
    return outer.scalars(query).one_or_none()


def _kept(user_id: UUID, key: str, fingerprint: bytes, response: Response) -> IdempotencyKey:
    return IdempotencyKey(
        user_id=user_id,
        key=key,
        fingerprint=fingerprint,
        status=response.status_code,
        headers=[[k, v] for k, v in response.headers.items() if k in _KEPT_HEADERS],
        body=response.get_data(),
    )


@job(queue="low", cron="17 3 * * *")
def remove_expired_keys() -> None:
    """Forget the keys of requests that nobody sends again."""
    remove(remove_expired_keys, IdempotencyKey, IdempotencyKey.created_at < func.now() - KEPT)
