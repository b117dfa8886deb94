"""`python -m service jobs list|show|retry|discard`: for operators."""

import argparse
import sys
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from flask import Flask
from sqlalchemy import delete, func, select, update

from service.db import session
from service.outbox import FAILED, QUEUED, RETRYING, Job

COLUMNS = ("id", "status", "function", "attempts", "created_at", "error")


def run(app: Flask, arguments: argparse.Namespace) -> int:
    """Exit code: 1 if there was no such job."""
    with app.app_context():
        if arguments.verb == "list":
            return _list(arguments.status, arguments.limit)
        return max([_VERBS[arguments.verb](id) for id in arguments.id])


def _list(status: str, limit: int) -> int:
    query = select(Job).order_by(Job.id.desc()).limit(limit)
    if status != "all":
        query = query.where(Job.status == status)
    rows = [[_cell(getattr(job, name)) for name in COLUMNS] for job in session.scalars(query)]
    print("\n".join(_table([[*COLUMNS], *rows])))
    counts = session.execute(select(Job.status, func.count()).group_by(Job.status)).all()
    print("\n" + (", ".join(f"{count} {each}" for each, count in counts) or "There are no jobs."))
    return 0


def _show(id: UUID) -> int:
    if (job := session.get(Job, id)) is None:
        return _failed(id, "there is no such job")
    for column in Job.__table__.columns:
        print(f"{column.name:13} {_cell(getattr(job, column.name))}")
    return 0


def _retry(id: UUID) -> int:
    """The relay hands it over within a second or two."""
    changes: dict[str, Any] = {
        "status": RETRYING,
        # Attempts only grow: the number tells a claim from all that were before it.
        "max_attempts": Job.attempts + 3,
        "due_at": func.now(),
        "finished_at": None,
    }
    failed = update(Job).where(Job.id == id, Job.status == FAILED).values(changes)
    if session.execute(failed.returning(Job.id)).first() is None:
        return _failed(id, "there is no job with this id that has failed")
    session.commit()
    print(f"{id}: will be tried again")
    return 0


def _discard(id: UUID) -> int:
    there = delete(Job).where(Job.id == id, Job.status.in_((FAILED, QUEUED, RETRYING)))
    if session.execute(there.returning(Job.id)).first() is None:
        return _failed(id, "there is no job with this id that failed or waits")
    session.commit()
    print(f"{id}: discarded")
    return 0


_VERBS = {"show": _show, "retry": _retry, "discard": _discard}


def _failed(id: UUID, why: str) -> int:
    print(f"{id}: {why}", file=sys.stderr)
    return 1


def _cell(value: object) -> str:
    if hasattr(value, "isoformat"):
        return str(value)[:19]
    return "-" if value is None else " ".join(str(value).split())


def _table(rows: list[list[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
