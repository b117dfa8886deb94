"""Keeping the table of jobs small."""

from sqlalchemy import delete, func

from service.db import session
from service.outbox import SUCCEEDED, Job
from service.queue import job
from service.settings import settings


@job(queue="low", cron="23 * * * *")
def remove_old_jobs() -> None:
    """Forget jobs that succeeded. One that failed for good stays until somebody looks at it."""
    ended = Job.finished_at < func.now() - settings().job_retention
    session.execute(delete(Job).where(Job.status == SUCCEEDED, ended))
