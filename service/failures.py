"""What operators do about jobs: try again what failed for good, or discard what is not wanted.

Nothing to change here. `python -m service jobs` and the buttons of /ops are two ways to it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Delete, Update, case, delete, func, update

from service import queue
from service.db import session
from service.outbox import FAILED, QUEUED, RETRYING, Job
from service.rows import Row


class Change(NamedTuple):
    """What becomes of jobs that it fits."""

    statement: Update | Delete
    fits: ColumnElement[bool]
    done: str
    unfit: str


def retry() -> Change:
    more = {function.name: function.attempts for function in queue.functions()}
    return Change(
        update(Job).values(
            status=RETRYING,
            # Attempts only grow: the number tells a claim from all that were before it.
            max_attempts=Job.attempts + case(more, value=Job.function, else_=1),
            due_at=func.now(),  # the relay hands it over within a second or two
            finished_at=None,
            refused_at=None,
        ),
        Job.status == FAILED,
        "will be tried again",
        "there is no job with this id that has failed",
    )


DISCARD = Change(
    delete(Job),
    Job.status.in_((FAILED, QUEUED, RETRYING)),
    "discarded",
    "there is no job with this id that failed or waits",
)


def apply(change: Change, *which: ColumnElement[bool]) -> Sequence[Row]:
    """The id and function of each job that it was done to, in the session's transaction."""
    statement = change.statement.where(change.fits, *which).returning(Job.id, Job.function)
    return session.execute(statement).all()
