"""One attempt at a job: its app context, session, log lines, time-out, and what becomes of it.

Nothing to change here. The job's effect and its success are one transaction; it is committed
here and nowhere else.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta

import structlog
from flask import Flask
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from service import claims, db, logs, metrics, outbox, queue, tracing
from service.claims import Claim, UnknownFunction
from service.queue import Function, OtherArguments
from service.tracing import Attributes, Span, Tracer

log = structlog.get_logger()


class Interrupted(BaseException):
    """The process has to stop, and the job did not end in time: it goes back to the queue."""


class Lost(Exception):
    """The lease ran out and somebody else has the job: what was done here is rolled back."""


def perform(
    app: Flask,
    claim: Claim,
    limit: AbstractContextManager[None] | None = None,
) -> None:
    """Run a claimed job to its end, within `limit`, and record what came of it.

    Raises DBAPIError if that cannot be recorded: the lease runs out then, and the job runs again.
    Raises Interrupted after it has given the job back.
    """
    with app.app_context():
        if (function := queue.find(claim.function)) is None:
            with db.apart() as connection:
                error = UnknownFunction(f"the code has no job {claim.function}")
                claims.refuse(connection, claim, error)
            return
        tokens = claims.current.set(claim), logs.request_id.set(claim.request_id)
        span = _span(app.extensions["tracer"], claim)
        start = time.perf_counter()
        try:
            _run(function, claim, limit or nullcontext())
            _succeeded(claim, time.perf_counter() - start)
        except Lost as error:
            tracing.fail(error)
            log.warning("job was taken over, what it did is undone", job=str(claim.id))
        except Interrupted as interruption:
            tracing.fail(interruption)
            with _instead() as connection:
                claims.give_back(connection, claim, interruption)
            raise
        except OtherArguments as error:
            tracing.fail(error)
            with _instead() as connection:
                claims.refuse(connection, claim, error)
        except BaseException as error:  # SystemExit too: a job must not end its worker
            tracing.fail(error)
            with _instead() as connection:
                claims.fail(connection, claim, error)
        finally:
            metrics.JOB_SECONDS.labels(claim.function).observe(time.perf_counter() - start)
            if span:
                span.end()
            claims.current.reset(tokens[0])
            logs.request_id.reset(tokens[1])


def _span(tracer: Tracer | None, claim: Claim) -> Span | None:
    if tracer is None:
        return None
    about: Attributes = {
        "code.function.name": claim.function,
        "job": str(claim.id),
        "attempt": claim.attempts,
    }
    if claim.request_id:
        about["request_id"] = claim.request_id
    return tracer.begin_job(f"job {claim.function}", claim.traceparent, about)


@contextmanager
def _instead() -> Iterator[Connection]:
    """A connection to say what came of it, after what the job did is rolled back."""
    with suppress(DBAPIError):  # the session's connection may be what failed
        db.close()
    with db.apart() as connection:
        yield connection


def _run(function: Function, claim: Claim, limit: AbstractContextManager[None]) -> None:
    with limit:
        result = function.run(claim.arguments)
        packed = None if result is None else queue.pack(result)
        db.session.flush()
    if not claims.succeed(db.session.connection(), claim, packed):
        raise Lost
    db.session.commit()


def _succeeded(claim: Claim, seconds: float) -> None:
    metrics.JOB_ATTEMPTS.labels(claim.function, outbox.SUCCEEDED).inc()
    log.info(
        "job",
        function=claim.function,
        job=str(claim.id),
        attempt=claim.attempts,
        duration_ms=round(seconds * 1000, 2),
        waited_ms=round((claim.started_at - claim.queued_at) / timedelta(milliseconds=1), 2),
    )
