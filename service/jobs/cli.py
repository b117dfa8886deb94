"""`python -m service jobs list|show|retry|discard`: for operators."""

import argparse
import sys
from collections.abc import Iterable
from uuid import UUID

from flask import Flask
from sqlalchemy import ColumnElement, func, select

from service import failures, queue
from service.db import session
from service.failures import Change
from service.outbox import FAILED, SUCCEEDED, Job

COLUMNS = ("id", "status", "function", "attempts", "created_at", "error")


def run(app: Flask, arguments: argparse.Namespace) -> int:
    """Exit code: 1 if there was no such job."""
    with app.app_context():
        if arguments.verb == "list":
            return _list(arguments.status, arguments.function, arguments.limit)
        if arguments.verb == "show":
            return max(map(_show, arguments.id))
        change = failures.retry() if arguments.verb == "retry" else failures.DISCARD
        if arguments.function:
            return _change_all(change, arguments.function)
        return max([_change(change, id) for id in arguments.id])


def _list(status: str, function: str | None, limit: int) -> int:
    query = select(Job).order_by(Job.id.desc()).limit(limit)
    if status != "all":
        query = query.where(Job.status == status)
    if function:
        query = query.where(Job.function == function)
    rows = [[_cell(getattr(job, name)) for name in COLUMNS] for job in session.scalars(query)]
    if function and not rows and queue.find(function) is None:
        return _failed(function, "the code has no such job, and there is none of that name")
    print("\n".join(_table([[*COLUMNS], *rows])))
    # Those that succeeded are most, and nobody's concern here: to count them would take a while.
    counts = session.execute(
        select(Job.status, func.count()).where(Job.status != SUCCEEDED).group_by(Job.status)
    ).all()
    print("\n" + (", ".join(f"{n} {each}" for each, n in counts) or "No job waits or has failed."))
    return 0


def _show(id: UUID) -> int:
    if (job := session.get(Job, id)) is None:
        return _failed(id, "there is no such job")
    for column in Job.__table__.columns:
        print(f"{column.name:13} {_cell(getattr(job, column.name))}")
    return 0


def _change(change: Change, id: UUID) -> int:
    if not _changed(change, Job.id == id):
        return _failed(id, change.unfit)
    print(f"{id}: {change.done}")
    return 0


def _change_all(change: Change, function: str) -> int:
    count = _changed(change, Job.function == function, Job.status == FAILED)
    if not count:
        return _failed(function, "no job of this function has failed")
    print(f"{function}: {count} {change.done}")
    return 0


def _changed(change: Change, *which: ColumnElement[bool]) -> int:
    """How many it was done to; committed."""
    count = len(failures.apply(change, *which))
    session.commit()
    return count


def _failed(what: object, why: str) -> int:
    print(f"{what}: {why}", file=sys.stderr)
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
