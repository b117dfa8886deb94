"""What the API gives of a job."""

from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from service.schemas import Out

Status = Literal["queued", "running", "succeeded", "failed", "retrying"]


class JobOut(Out):
    id: UUID
    status: Status
    progress: int | None = Field(description="Per cent, where the job tells.")
    result: Any = Field(description="What the job returned.")
    error: str | None
