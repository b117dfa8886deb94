"""Claims: whose a job is while it runs, and what becomes of it.

Nothing to change here. Each change of a row says which attempt it is about, so that who has lost
the job in between changes nothing.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import (
    Connection,
    Text,
    bindparam,
    case,
    func,
    literal_column,
    select,
    tuple_,
    update,
)

from service import logs, metrics, queue, reports
from service.db import apart
from service.errors import Problem
from service.outbox import FAILED, QUEUED, RETRYING, RUNNING, SUCCEEDED, Job, in_seconds
from service.queue import OtherArguments, Unfit
from service.rows import Prepared

log = structlog.get_logger()

# A job whose function this code does not have, or has with other arguments, may be one of a newer
# release, whose worker comes up next to this one: it is offered again each minute, and failed when
# nobody took it for so long.
REFUSED_PAUSE = timedelta(minutes=1)
REFUSED_PATIENCE = timedelta(hours=1)

ERROR_LIMIT = 1000  # characters
DEFAULT_PAUSE = 5.0  # seconds


class Claim(NamedTuple):
    """A job that this process runs: its row is ours until `lease` seconds from its last renewal."""

    id: UUID
    function: str
    arguments: str
    attempts: int
    max_attempts: int
    request_id: str | None
    traceparent: str | None
    created_at: datetime
    queued_at: datetime
    started_at: datetime
    refused_at: datetime | None


_CLAIM = Prepared(
    update(Job)
    .where(Job.id == bindparam("job"), Job.status == QUEUED)
    .values(
        status=RUNNING,
        attempts=Job.attempts + 1,
        worker=bindparam("by", type_=Text),
        started_at=func.clock_timestamp(),
        due_at=in_seconds("lease"),
        progress=None,
    )
    .returning(*(Job.__table__.c[name] for name in Claim._fields))
)
# Ours: the row as this claim left it, and not as somebody has taken it over since.
_OURS = (
    Job.id == bindparam("job"),
    Job.status == RUNNING,
    Job.attempts == bindparam("attempt", type_=Job.__table__.c.attempts.type),
)
_SUCCEED = Prepared(
    update(Job)
    .where(*_OURS)
    .values(
        status=SUCCEEDED,
        finished_at=func.clock_timestamp(),
        progress=case((Job.progress.is_not(None), 100)),
        result=bindparam("outcome", type_=Text),
        worker=None,
        error=None,
        detail=None,
    )
    # Who is frozen or cut off before the COMMIT must not keep the row locked for ever.
    .returning(
        Job.id, literal_column("set_config('idle_in_transaction_session_timeout', '10s', true)")
    )
)
_END = Prepared(
    update(Job)
    .where(*_OURS)
    .values(
        status=bindparam("becomes", type_=Text),
        attempts=bindparam("counted", type_=Job.__table__.c.attempts.type),
        due_at=in_seconds("due_in"),
        finished_at=bindparam("finished", type_=Job.__table__.c.finished_at.type),
        queued_at=func.clock_timestamp(),
        error=bindparam("reason", type_=Text),
        detail=bindparam("says", type_=Text),
        worker=None,
        refused_at=bindparam("refused", type_=Job.__table__.c.refused_at.type),
    )
    .returning(Job.id)
)

# The job that this process runs just now.
current: ContextVar[Claim | None] = ContextVar("job", default=None)


class WorkerDied(Exception):
    """The process that ran a job is gone: killed, out of memory, or its machine is."""


class WorkerStopped(WorkerDied):
    """The process that ran a job had to stop before it ended: that is not the job's fault."""


class UnknownFunction(Exception):
    """The code has no job of this name: it is gone, or of a newer release."""


def claim(connection: Connection, id: UUID, worker: str, lease: timedelta) -> Claim | None:
    """Take a job that was handed over; None if it runs already, has ended or was never committed.

    The attempt is counted before it is begun: or a job that kills its process would do so for ever.
    """
    found = _CLAIM.run(connection, {"job": id, "by": worker, "lease": lease})
    return Claim(*found[0]) if found else None


def succeed(connection: Connection, claim: Claim, result: str | None) -> bool:
    """Record the success, in the transaction of the job's effect. False if it is not ours any more:
    then another process has it, and the transaction must be rolled back."""
    values = {"job": claim.id, "attempt": claim.attempts, "outcome": result}
    return bool(_SUCCEED.run(connection, values))


def fail(
    connection: Connection, claim: Claim, error: BaseException, final: bool = False
) -> str | None:
    """Record that an attempt failed: the job is RETRYING, or FAILED for good after its last one.

    Returns its status; None if it is not ours any more. A final failure is logged and reported.
    """
    final = final or claim.attempts >= claim.max_attempts or isinstance(error, Unfit)
    about = queue.find(claim.function)  # a relay of an older release may not know it
    pause = 0.0 if final else about.pause(claim.attempts) if about else DEFAULT_PAUSE
    status = FAILED if final else RETRYING
    if not _end(connection, claim, status, timedelta(seconds=pause), claim.attempts, error):
        return None
    metrics.JOB_ATTEMPTS.labels(claim.function, status).inc()
    about_it = {"function": claim.function, "job": str(claim.id), "attempt": claim.attempts}
    if final:
        log.error("job failed for good", **about_it, exc_info=error)
        reports.capture(error, f"job {claim.function}", claim.request_id)
    else:
        log.warning("job failed, will be tried again", **about_it, error=told(error), in_s=pause)
    return status


def give_back(
    connection: Connection,
    claim: Claim,
    error: BaseException,
    pause: timedelta = timedelta(0),
    refused_at: datetime | None = None,
) -> bool:
    """Undo a claim: the attempt does not count, because it is not the job's fault that it ended."""
    return _end(connection, claim, RETRYING, pause, claim.attempts - 1, error, refused_at)


def refuse(connection: Connection, claim: Claim, error: UnknownFunction | OtherArguments) -> None:
    """What to do with a job that this code cannot run: keep it, and say so."""
    first = claim.refused_at or claim.started_at
    if claim.started_at - first > REFUSED_PATIENCE:
        fail(connection, claim, error, final=True)
        return
    log.error("job of another release, kept for its worker", job=str(claim.id), error=told(error))
    give_back(connection, claim, error, REFUSED_PAUSE, first)


def _end(
    connection: Connection,
    claim: Claim,
    status: str,
    pause: timedelta,
    attempts: int,
    error: BaseException,
    refused_at: datetime | None = None,
) -> bool:
    """`refused_at` is of refusals in a row: whoever runs it ends them."""
    values = {
        "job": claim.id,
        "attempt": claim.attempts,
        "becomes": status,
        "counted": attempts,
        "due_in": pause,
        "finished": datetime.now(UTC) if status == FAILED else None,
        "reason": told(error),
        "says": error.detail if isinstance(error, Problem) else None,
        "refused": refused_at,
    }
    return bool(_END.run(connection, values))


def told(error: BaseException) -> str:
    """An error in one line, without what must not be kept: values of the database, passwords of
    URLs, tokens; and without what PostgreSQL cannot keep."""
    driver = getattr(
        error, "orig", None
    )  # SQLAlchemy's text quotes the statement, psycopg's the row
    primary = getattr(getattr(driver, "diag", None), "message_primary", None)
    words = " ".join(f"{type(error).__name__}: {primary or driver or error}".split())
    sane = words.replace("\0", "").encode(errors="replace").decode()
    return logs.hide(sane)[:ERROR_LIMIT]


def connection_name(worker: str) -> str:
    """What the connections of a worker's process are called in PostgreSQL (63 bytes at most)."""
    return f"service worker {worker.rpartition('.')[2]}"


def renew(connection: Connection, jobs: Sequence[tuple[UUID, int]], lease: timedelta) -> None:
    """Keep jobs, each at this attempt, with who runs them for another lease.

    One whose row is locked just now is left out: it is about to end, or to be taken over.
    """
    free = (
        select(Job.id)
        .where(tuple_(Job.id, Job.attempts).in_(jobs), Job.status == RUNNING)
        .with_for_update(skip_locked=True)
    )
    statement = update(Job).where(Job.id.in_(free.scalar_subquery()))
    connection.execute(statement.values(due_at=func.clock_timestamp() + lease))


def abandoned(connection: Connection, worker: str, error: BaseException) -> None:
    """End the attempt of a worker that is gone: it failed, unless the worker had to stop."""
    columns = (Job.__table__.c[name] for name in Claim._fields)
    running = select(*columns).where(Job.worker == worker, Job.status == RUNNING)
    for row in connection.execute(running).fetchall():
        if isinstance(error, WorkerStopped):
            give_back(connection, Claim(*row), error)
        else:
            fail(connection, Claim(*row), error)


def report_progress(percent: int) -> None:
    """Tell how far the job that runs here is; seen at once, whatever becomes of its transaction."""
    if (found := current.get()) is None:
        return
    statement = update(Job).where(Job.id == found.id, Job.attempts == found.attempts)
    with apart() as connection:
        connection.execute(statement.values(progress=percent))
