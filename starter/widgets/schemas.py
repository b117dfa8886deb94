"""What widgets take and give."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from service.schemas import Body, Out, Query

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class WidgetBody(Body):
    name: Text


class WidgetPatch(Body):
    """What is left out stays as it is."""

    name: Text | None = None


class WidgetQuery(Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: str | None = None


class WidgetOut(Out):
    id: UUID
    name: str
    created_at: datetime
    updated_at: datetime
