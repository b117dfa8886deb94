"""The other half of `python -m deploy smoke URL`: a job to follow, and how web sees its client.

Only who has SMOKE_TOKEN is answered, and nothing stays behind. Nothing to change here.
"""

from uuid import UUID

from flask import Blueprint, Response, abort, current_app, jsonify, request
from sqlalchemy import ColumnElement, delete, select

from service.db import session
from service.errors import NotFound, Unauthorized
from service.outbox import Job, enqueue
from service.queue import function_of, job
from service.settings import settings
from service.tokens import is_bearer

bp = Blueprint("smoke", __name__, url_prefix="/smoke")


@job(queue="high", attempts=1)
def arrive() -> str:
    """Do nothing, but in a worker."""
    return settings().commit_sha


@bp.post("")
def create() -> tuple[Response, int]:
    """Begin a job; 202 with its id, and who the client is taken for."""
    found = settings()
    id = enqueue(session, arrive)
    session.commit()
    seen = {"client": request.remote_addr, "debug": current_app.debug}
    return jsonify(job=id, environment=found.app_env, origins=found.frontend_url, **seen), 202


@bp.get("/<uuid:id>")
def show(id: UUID) -> Response:
    """How the job is going, and the version of the worker that ran it."""
    found = session.scalar(select(Job).where(_is_ours(id)))
    if found is None:
        raise NotFound("There is no smoke test's job with this id.")
    return jsonify(
        status=found.status, version=found.result and current_app.json.loads(found.result)
    )


@bp.delete("/<uuid:id>")
def destroy(id: UUID) -> tuple[str, int]:
    """Forget the job."""
    session.execute(delete(Job).where(_is_ours(id)))
    session.commit()
    return "", 204


def _is_ours(id: UUID) -> ColumnElement[bool]:
    return (Job.id == id) & (Job.function == function_of(arrive).name)


@bp.before_request
def check() -> None:
    """Raises Unauthorized without the token. Where there is none, production has no such page."""
    token = settings().smoke_token
    if token is None and settings().is_production:
        abort(404)
    if not is_bearer(token, request.headers.get("Authorization", "")):
        raise Unauthorized("The smoke test needs its token: Authorization: Bearer.")
