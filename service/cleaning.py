"""Keeping tables small, however much has piled up.

Nothing to change here: a feature's nightly job calls `remove`.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, select

from service.db import Model, session
from service.outbox import enqueue

BATCH = 10_000  # rows, so many as go well within DATABASE_STATEMENT_TIMEOUT
PAUSE = timedelta(seconds=5)


def remove(job: Callable[[], Any], model: type[Model], *which: ColumnElement[bool]) -> None:
    """Delete the rows that fit all of `which`: a batch now, the rest when `job` runs again."""
    batch = select(model.id).where(*which).limit(BATCH).scalar_subquery()
    gone = session.scalars(delete(model).where(model.id.in_(batch)).returning(model.id)).all()
    if len(gone) == BATCH:
        enqueue(session, job, delay=PAUSE)
