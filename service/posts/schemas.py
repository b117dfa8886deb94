"""What posts take and give."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from service.schemas import Body, Out, Query

Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]


class PostBody(Body):
    title: Title
    body: Text


class PostPatch(Body):
    """What is left out stays as it is."""

    title: Title | None = None
    body: Text | None = None


class PostQuery(Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: str | None = None
    author: UUID | None = None


class PostOut(Out):
    id: UUID
    author_id: UUID
    title: str
    body: str
    created_at: datetime
    updated_at: datetime
