"""Recurring jobs: a function with a cron line (`@job(cron="17 3 * * *")`, in UTC) runs by itself.

Nothing to change here. Each tick is taken once, in the transaction that writes its job, however
many schedulers run; what was missed while none ran is made up for once, not once for each tick.
"""

from datetime import UTC, datetime

import structlog
from sqlalchemy import Text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import metrics, queue
from service.db import Model
from service.outbox import enqueue
from service.queue import Function

log = structlog.get_logger()


class Tick(Model):
    """When a recurring job was last due, as far as it was seen to."""

    __tablename__ = "ticks"

    function: Mapped[str] = mapped_column(Text, unique=True)
    due_at: Mapped[datetime]


def tick(session: Session, now: datetime | None = None) -> list[str]:
    """Enqueue what has become due, and commit. Returns the names of the functions.

    A function that is seen for the first time is not run for a tick before that.
    """
    now = now or datetime.now(UTC)
    due = [function for function in queue.recurring() if _takes(session, function, now)]
    for function in due:
        enqueue(session, function.call)
        log.info("recurring job", function=function.name)
    session.commit()
    for function in due:
        metrics.RECURRED.labels(function.name).inc()
    return [function.name for function in due]


def _takes(session: Session, function: Function, now: datetime) -> bool:
    """Whether there is a tick that nobody has taken yet."""
    values = {"function": function.name, "due_at": function.last_tick(now)}
    made = insert(Tick).values(values).on_conflict_do_nothing(index_elements=["function"])
    if session.execute(made.returning(Tick.id)).first():
        return False
    taken = (
        update(Tick)
        .where(Tick.function == function.name, Tick.due_at < values["due_at"])
        .values(due_at=values["due_at"])
        .returning(Tick.id)
    )
    return session.execute(taken).first() is not None
