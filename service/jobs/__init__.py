"""Jobs as their owners and operators see them: their state over HTTP and on the command line."""

from service.jobs.jobs import remove_old_jobs
from service.jobs.models import job_of
from service.jobs.routes import bp

__all__ = ["bp", "job_of", "remove_old_jobs"]
