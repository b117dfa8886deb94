"""Jobs over HTTP."""

from uuid import UUID

from flask import Blueprint, Response
from pydantic_core import from_json

from service.jobs.models import job_of
from service.jobs.schemas import JobOut
from service.openapi import describe
from service.outbox import FAILED
from service.users import current_user

bp = Blueprint("jobs", __name__, url_prefix="/api/jobs")

UNSPECIFIC = "The job failed. Who runs this service has been told."


@bp.get("/<uuid:id>")
@describe(returns={200: JobOut}, signed_in=True)
def show(id: UUID) -> Response:
    """How a job of yours is going."""
    job = job_of(current_user().id, id)
    error = (job.detail or UNSPECIFIC) if job.status == FAILED else None
    result = from_json(job.result) if job.result else None
    shown = JobOut(id=job.id, status=job.status, progress=job.progress, result=result, error=error)
    return JobOut.response(shown)
