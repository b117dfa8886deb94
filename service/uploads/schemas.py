"""What uploads take and give."""

from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from service.schemas import NUMBER, Body, Out
from service.uploads.models import LARGEST


class UploadBody(Body):
    filename: Annotated[
        str,
        StringConstraints(min_length=1, max_length=255, pattern=r"^[^/\\\x00-\x1f\x7f]+$"),
    ]
    content_type: Annotated[
        str, StringConstraints(max_length=100, pattern=r"^[a-z]+/[a-z0-9][a-z0-9.+-]*$")
    ]
    size: Annotated[int, Field(ge=1, le=LARGEST, description="Bytes."), NUMBER]


class UploadOut(Out):
    """Post `fields` and then the file, as `file`, to `upload_url` as multipart/form-data."""

    id: UUID
    upload_url: str
    fields: dict[str, str]
    expires_in: int
