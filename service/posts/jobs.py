"""Long work on posts."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryFile
from typing import Any, BinaryIO
from uuid import UUID

import structlog
from sqlalchemy import exists, func, select

from service.claims import current, report_progress
from service.db import session
from service.outbox import SUCCEEDED, Job, enqueue
from service.posts.models import Post, PostExport
from service.queue import job
from service.rows import Row
from service.settings import settings
from service.storage import StorageError, files

log = structlog.get_logger()

PAGE = 1000  # posts in memory at a time
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
COLUMNS = ("id", "title", "body", "created_at", "updated_at")


def ask_for_export(author_id: UUID) -> UUID:
    """Have an export written; returns its id, which is that of the job."""
    id = enqueue(session, export, author_id, owner=author_id)
    session.add(PostExport(id=id, author_id=author_id))
    return id


@job(queue="low", attempts=5, backoff=30, timeout=900)  # over 7 minutes in all
def export(author_id: UUID) -> dict[str, Any]:
    """Write all posts of an author into a CSV file, the oldest first."""
    claim = current.get()
    assert claim is not None
    wanted = session.get_one(PostExport, claim.id)
    with TemporaryFile() as file:
        count = _write(file, author_id)
        file.seek(0)
        files().put(wanted.file, file, "text/csv; charset=utf-8")
    wanted.written_at = datetime.now(UTC)
    return {"posts": count, "url": f"/api/posts/exports/{claim.id}"}


@job(queue="low", cron="41 * * * *", timeout=900)
def remove_old_exports() -> None:
    """Remove the files whose jobs are forgotten, and those of accounts that are gone."""
    old = PostExport.created_at < func.now() - settings().job_retention
    # One that has failed may be tried again.
    wanted = exists().where(Job.id == PostExport.id, Job.status != SUCCEEDED)
    query = select(PostExport).where(old | PostExport.author_id.is_(None), ~wanted).limit(PAGE)
    found = session.scalars(query.order_by(func.random())).all()  # the next run meets others
    for export in found:
        try:
            files().delete(export.file)
        except StorageError as error:
            log.warning("an export cannot be removed", file=export.file, reason=str(error))
        else:
            session.delete(export)
    if len(found) == PAGE:
        enqueue(session, remove_old_exports, delay=timedelta(minutes=1))


def _write(file: BinaryIO, author_id: UUID) -> int:
    """Page by page, so that memory stays flat; returns how many."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    total = session.scalar(select(func.count()).where(Post.author_id == author_id)) or 0
    done = 0
    for page in _pages(author_id):
        writer.writerows([_cell(getattr(post, name)) for name in COLUMNS] for post in page)
        done += len(page)
        report_progress(min(99, 100 * done // max(total, 1)))
    text.detach()
    return done


def _pages(author_id: UUID) -> Iterator[list[Row]]:
    table = Post.__table__
    query = select(*(table.c[name] for name in COLUMNS)).where(table.c.author_id == author_id)
    query, last = query.order_by(table.c.id).limit(PAGE), None
    while page := list(session.execute(query if last is None else query.where(table.c.id > last))):
        yield page
        last = page[-1].id


def _cell(value: object) -> str:
    """A value as a spreadsheet shows it: what it would take for a formula begins with an '.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    shown = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return f"'{shown}" if shown.startswith(FORMULA) else shown
