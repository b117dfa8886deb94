"""Keeping the table of jobs small."""

from sqlalchemy import func

from service.cleaning import remove
from service.outbox import SUCCEEDED, Job
from service.queue import job
from service.settings import settings


@job(queue="low", cron="23 * * * *")
def remove_old_jobs() -> None:
    """Forget jobs that succeeded. One that failed for good stays until somebody looks at it."""
    ended = Job.finished_at < func.now() - settings().job_retention
    remove(remove_old_jobs, Job, Job.status == SUCCEEDED, ended)
