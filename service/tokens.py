"""Access tokens: JSON Web Tokens signed with HS256 (RFC 7519), and signed cursors.

A token says who it is for and of which generation it is. Signing out raises the user's
generation, which ends every token of theirs; the models of users know about that.
"""

import hashlib
import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import jwt
from flask import current_app, request
from jwt.types import Options
from pydantic import SecretStr

from service.errors import Invalid
from service.settings import Settings, settings

_ALGORITHM = "HS256"  # never from the token's own header: `none` is an algorithm too
# What is kept must not depend on the time: `read` looks at `exp`, and `iat` is for people.
_TIMELESS: Options = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
_SIGNATURE = 12  # bytes of a cursor's signature
_LONGEST = 1024  # characters of a token; ours have 210, and 10,000 are kept, whoever sent them


class Claims(NamedTuple):
    """What a valid token says: the user's id and the generation it was made in."""

    user_id: UUID
    generation: int


class Keys:
    """The keys derived from JWT_SECRET, one for each use, as it is when they are used.

    What JWT_SECRET_FALLBACK signs is accepted as well: it is the next secret before it is in force
    everywhere, and the last one until what it signed has expired.
    """

    def __init__(self, found: Settings) -> None:
        self._secret, self._fallback = found.jwt_secret, found.jwt_secret_fallback
        # A client sends the same token with each request, and its signature does not change.
        self.verified = lru_cache(maxsize=10_000)(_verify)

    @property
    def token(self) -> bytes:
        return self._secret.get_secret_value().encode()

    def cursors(self) -> list[bytes]:
        """The key that signs cursors, and then those that are accepted."""
        return [hmac.digest(each.encode(), b"cursor", hashlib.sha256) for each in self._secrets()]

    def verify(self, token: str) -> tuple[Claims, int] | None:
        for secret in self._secrets():
            if (found := self.verified(secret, token)) is not None:
                return found
        return None

    def _secrets(self) -> Iterator[str]:
        yield self._secret.get_secret_value()
        if self._fallback is not None:
            yield self._fallback.get_secret_value()


def issue(user_id: UUID, generation: int) -> tuple[str, int]:
    """A token and the seconds that it lives."""
    lifetime = int(settings().jwt_expiration.total_seconds())
    now = int(time.time())
    claims = {"sub": str(user_id), "gen": generation, "iat": now, "exp": now + lifetime}
    return jwt.encode(claims, _keys().token, _ALGORITHM), lifetime


def read(token: str) -> Claims | str:
    """What the token says, or why it is not accepted."""
    if len(token) > _LONGEST or (found := _keys().verify(token)) is None:
        return "The access token is not valid."
    claims, expires_at = found
    return claims if time.time() < expires_at else "The access token has expired. Sign in again."


def _verify(key: str, token: str) -> tuple[Claims, int] | None:
    """What a token that we signed says, and when it expires (Unix seconds)."""
    try:
        claims: dict[str, Any] = jwt.decode(token, key.encode(), [_ALGORITHM], _TIMELESS)
        generation, expires_at = int(claims["gen"]), int(claims["exp"])
        if not 0 <= generation < 2**31:  # what the column holds
            return None
        return Claims(UUID(claims["sub"]), generation), expires_at
    except (jwt.InvalidTokenError, LookupError, ArithmeticError, ValueError, TypeError):
        return None
    except AttributeError:  # a `sub` that is no text
        return None


def of_request() -> Claims | str | None:
    """The claims of the request's bearer token, or why not; None without one. Read once."""
    environ = request.environ
    if "service.claims" in environ:
        return environ["service.claims"]  # type: ignore[no-any-return]
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    found: Claims | str | None = None
    if scheme:
        found = read(token.strip()) if scheme.lower() == "bearer" else "Use a bearer token."
    if isinstance(found, Claims):
        environ["service.user"] = str(found.user_id)
    environ["service.claims"] = found
    return found


def is_bearer(token: SecretStr | None, authorization: str) -> bool:
    """Whether an Authorization header has this token of an operator, if there is one."""
    if token is None:
        return True
    expected = f"Bearer {token.get_secret_value()}".encode()
    return hmac.compare_digest(authorization.encode(), expected)


def make_cursor(id: UUID) -> str:
    """An opaque place in a list, signed so that only places we gave out come back."""
    return _signed(id, _keys().cursors()[0])


def read_cursor(cursor: str) -> UUID:
    """The id in a cursor. Raises Invalid for one that we did not make."""
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        id: UUID | None = UUID(bytes=raw[:16])
    except ValueError:
        id = None
    given = cursor.encode(errors="replace")
    keys = [] if id is None else _keys().cursors()
    if id is None or not any(hmac.compare_digest(_signed(id, key).encode(), given) for key in keys):
        message = "is not a cursor of this list"
        raise Invalid("The query is not valid.", errors=[{"field": "cursor", "message": message}])
    return id


def _signed(id: UUID, key: bytes) -> str:
    signature = hmac.digest(key, id.bytes, hashlib.sha256)[:_SIGNATURE]
    return urlsafe_b64encode(id.bytes + signature).rstrip(b"=").decode()


def _keys() -> Keys:
    return current_app.extensions["keys"]  # type: ignore[no-any-return]
