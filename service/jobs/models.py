"""Which job is whose."""

from uuid import UUID

from sqlalchemy import bindparam, select

from service.db import fetch
from service.errors import NotFound
from service.outbox import Job
from service.rows import Prepared, Row


def job_of(owner_id: UUID, id: UUID) -> Row:
    """A job of this user, to be shown. Raises NotFound, for somebody else's too."""
    if not (found := fetch(_OF_OWNER, id=id, owner_id=owner_id)):
        raise NotFound("You have no job with this id.")
    return found[0]


_OF_OWNER = Prepared(
    select(Job).where(Job.id == bindparam("id"), Job.owner_id == bindparam("owner_id"))
)
