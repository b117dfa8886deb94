"""The outbox: a job is a row, written in the transaction of the data that it is about.

The row is the truth: who runs it, how often it was tried, what came of it. Redis only carries
ids to the workers, so that whatever is lost there is handed over again (relay.py), and an id
that arrives twice finds its row taken. Nothing to change here.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from flask import current_app
from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    Index,
    Interval,
    Text,
    bindparam,
    func,
    insert,
    text,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import logs, queue, tracing
from service.db import Model, after_commit
from service.ids import uuid7
from service.queue import Unfit
from service.rows import Prepared

QUEUED, RUNNING, RETRYING = "queued", "running", "retrying"
SUCCEEDED, FAILED = "succeeded", "failed"
STATUSES = (QUEUED, RUNNING, RETRYING, SUCCEEDED, FAILED)

# How long web has to hand a job over itself, before the relay does.
HAND_OVER_WITHIN = timedelta(seconds=5)

_UNFINISHED = "status IN ('queued', 'running', 'retrying')"


class Job(Model):
    """A job, from the transaction that wants it to some days after its end."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(f"status IN {STATUSES}", "status"),
        # What the relay looks for; what is finished, which is most, is not in it.
        Index(None, "due_at", postgresql_where=text(_UNFINISHED)),
        Index(None, "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
        Index(None, "function", postgresql_where=text("status = 'failed'")),
        Index("ix_jobs_failed_at", "finished_at", postgresql_where=text("status = 'failed'")),
    )

    function: Mapped[str]
    arguments: Mapped[str] = mapped_column(Text)  # JSON: a list and an object
    queue: Mapped[str]
    owner_id: Mapped[UUID | None]  # the user who may look at it
    request_id: Mapped[str | None]  # of the request that wanted it
    traceparent: Mapped[str | None]  # and its span, if it was traced
    status: Mapped[str] = mapped_column(default=QUEUED)
    attempts: Mapped[int] = mapped_column(default=0)  # begun so far
    max_attempts: Mapped[int]
    # When the relay looks at it: hands it over (again), or takes it from a worker that is gone.
    due_at: Mapped[datetime]
    worker: Mapped[str | None]  # the name of the process that runs it
    progress: Mapped[int | None]  # per cent
    result: Mapped[str | None] = mapped_column(Text)  # JSON
    error: Mapped[str | None] = mapped_column(Text)  # for operators
    detail: Mapped[str | None] = mapped_column(Text)  # what its owner may know of the error
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    queued_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    refused_at: Mapped[datetime | None]  # first, by a worker that has no such function


def in_seconds(name: str) -> ColumnElement[datetime]:
    """The time that is so many seconds from now, by the database's clock."""
    return func.clock_timestamp() + bindparam(name, type_=Interval)


_GIVEN = "id function arguments queue owner_id request_id traceparent max_attempts"
_INSERT = Prepared(
    insert(Job)
    .values(
        {name: bindparam(name, type_=Job.__table__.c[name].type) for name in _GIVEN.split()}
        | {"status": QUEUED, "attempts": 0, "due_at": in_seconds("due_in")}
        | {"queued_at": in_seconds("queued_in")}
    )
    .returning(Job.id)
)


def enqueue(
    session: Session,
    function: Callable[..., Any],
    *args: Any,
    owner: UUID | None = None,
    delay: timedelta | None = None,
    **kwargs: Any,
) -> UUID:
    """Have a worker call `function(*args, **kwargs)` once the session's transaction is committed.

    Returns the job's id. Rolled back means no job; committed means that it will run, though Redis
    is down or loses it. `owner` is the user who may see it at /api/jobs/{id}. Raises Unfit if the
    function is no job, or if the arguments do not fit it, into JSON or into 64 KiB, and for a delay
    that is none.
    """
    about = queue.function_of(function)
    if delay is not None and (not isinstance(delay, timedelta) or delay < timedelta(0)):
        raise Unfit(f"{about.name}: the delay is a timedelta from 0 on, not {delay!r}")
    values = {
        "id": (id := uuid7()),
        "function": about.name,
        "arguments": about.pack(args, kwargs),
        "queue": about.queue,
        "owner_id": owner,
        "request_id": logs.request_id.get(),
        "traceparent": tracing.parent(),
        "max_attempts": about.attempts,
        "due_in": delay or HAND_OVER_WITHIN,
        "queued_in": delay or timedelta(0),  # it does not wait before its time
    }
    _INSERT.run(session.connection(), values)
    if not delay:
        hand_over = current_app.extensions["handover"]
        after_commit(session, lambda: hand_over(about.queue, id))
    return id
