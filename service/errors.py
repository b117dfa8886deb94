"""Problems: the one place where an exception becomes a response (RFC 9457).

Add a problem: a subclass of Problem here or in a feature, with its status; raise it anywhere.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, request
from gunicorn.http.errors import ParseException
from pydantic_core import to_json
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException

from service import reports, tracing

log = structlog.get_logger()

RETRY_AFTER = 5  # seconds: about what a database or Redis needs to come back

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_CONFLICTS = ("40001", "40P01")  # serialization failure, deadlock
_READ_ONLY = "25006"  # the primary has become a replica: connections are still to the old one

FieldErrors = Sequence[Mapping[str, str]]


class Problem(Exception):
    """Something that the client may know: raised where it is noticed, never caught by routes.

    `errors` names fields: `[{"field": "title", "message": "…"}]`.
    """

    status: int = 500

    def __init__(
        self,
        detail: str,
        *,
        status: int | None = None,
        errors: FieldErrors = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status or self.status
        self.errors = errors
        self.headers = dict(headers or {})


class BadRequest(Problem):
    status = 400


class Unauthorized(Problem):
    """Who calls is not known. Says how to sign in (RFC 9110 section 11.6.1)."""

    status = 401

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(Problem):
    status = 403


class NotFound(Problem):
    status = 404


class Conflict(Problem):
    status = 409


class UnsupportedMediaType(Problem):
    status = 415


class Invalid(Problem):
    """What was sent can be read but not accepted."""

    status = 422


class Unavailable(Problem):
    """Something that the request needs is down. Trying again later may work."""

    status = 503

    def __init__(self, detail: str, retry_after: int = RETRY_AFTER) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


def problem_of(error: Exception) -> Problem:
    """What the client may know of an exception: for most of them nothing but the status."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ParseException):  # gunicorn, as it reads a body in chunks
        return BadRequest("The body's chunks are malformed.")
    if isinstance(error, HTTPException):
        headers = {k: v for k, v in error.get_headers() if k in ("Allow", "Retry-After")}
        return Problem(error.description or "", status=error.code, headers=headers)
    if (state := getattr(getattr(error, "orig", None), "sqlstate", None)) in _CONFLICTS:
        return Unavailable("Another request was changing the same. Try again.", retry_after=1)
    if state == _READ_ONLY:
        return Unavailable("The database takes no changes just now. Try again in a few seconds.")
    if isinstance(error, OperationalError | InterfaceError | PoolTimeoutError):
        return Unavailable("The database does not answer. Try again in a few seconds.")
    if isinstance(error, IntegrityError):
        # A race that the model's own checks could not see: the other request was first.
        return Conflict("This conflicts with what was stored meanwhile.")
    return Problem("An unexpected error; the operator can find it by its request id.")


def body_of(problem: Problem, instance: str, request_id: str | None) -> bytes:
    """The problem as `application/problem+json` (RFC 9457 section 3.1)."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": instance,
        "request_id": request_id,
    }
    if problem.errors:
        body["errors"] = problem.errors
    return to_json(body)


def respond(error: Exception) -> Response:
    """The response to an exception. What is our fault is logged, and reported if unforeseen."""
    problem = problem_of(error)
    if problem.status >= 500:
        tracing.fail(error)
    if problem.status == 503 and not isinstance(error, Problem):
        log.warning("unavailable", error=type(error).__name__, reason=str(error))
    elif problem.status >= 500 and problem is not error:
        log.error("unhandled error", exc_info=error)
        reports.capture(error)
    request_id = request.environ.get("service.request_id")
    return Response(
        body_of(problem, request.path, request_id),
        problem.status,
        problem.headers,
        mimetype="application/problem+json",
    )


def init_app(app: Flask) -> None:
    app.register_error_handler(Exception, respond)
