"""Effects that happen once, though what causes them may run twice.

Nothing to change here: `once` is what a job asks before it does what must not be done again.
"""

from datetime import datetime, timedelta

from sqlalchemy import Text, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.cleaning import remove
from service.db import Model
from service.queue import job

KEPT = timedelta(days=30)


class Effect(Model):
    """Something that was done. May be deleted when nothing will ask for it any more."""

    __tablename__ = "effects"

    key: Mapped[str] = mapped_column(Text, unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


def once(session: Session, key: str) -> bool:
    """Whether this is the first time: True once for each key, for the transaction that commits.

    The key's row is written in the session's transaction, so effect and key are there together
    or not at all; a second one waits until the first has committed (False) or not (True). What is
    not in the database, such as a mail, can be done twice all the same: when the process dies
    after it and before the commit.
    """
    statement = insert(Effect).values(key=key).on_conflict_do_nothing(index_elements=["key"])
    return session.execute(statement.returning(Effect.id)).first() is not None


@job(queue="low", cron="41 3 * * *")
def remove_old_effects() -> None:
    """Forget what was done so long ago that nothing asks for it."""
    remove(remove_old_effects, Effect, Effect.created_at < func.now() - KEPT)
