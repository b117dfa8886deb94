"""Posts and the rules about them."""

from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Integer, bindparam, func, select
from sqlalchemy.orm import Mapped, mapped_column

from service.db import Model, Rows, fetch, session
from service.errors import Forbidden, NotFound
from service.rows import Prepared, Row
from service.users.models import User


class Post(Model):
    __tablename__ = "posts"
    __table_args__ = (Index(None, "author_id", "id"),)

    author_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    title: Mapped[str]
    body: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    @staticmethod
    def show(id: UUID) -> Row:
        """One post, to be shown. Raises NotFound."""
        if not (found := fetch(_BY_ID, id=id)):
            raise NotFound("There is no post with this id.")
        return found[0]

    @staticmethod
    def newest(limit: int, before: UUID | None, author: UUID | None) -> Rows:
        """The newest posts, to be shown: of ids below `before`, by this author."""
        if not before and not author:
            return fetch(_FIRST_PAGE, limit=limit, stale=True)
        query = _NEWEST
        if before:
            query = query.where(Post.id < before)
        if author:
            query = query.where(Post.author_id == author)
        return fetch(query, limit=limit, stale=True)

    @classmethod
    def of_author(cls, id: UUID, author_id: UUID) -> Self:
        """One post, to be changed. Raises NotFound, and Forbidden for anyone but its author."""
        if (post := session.get(cls, id)) is None:
            raise NotFound("There is no post with this id.")
        if post.author_id != author_id:
            raise Forbidden("Only its author may change a post.")
        return post

    def edit(self, title: str | None, body: str | None) -> None:
        self.title = title or self.title
        self.body = body or self.body


class PostExport(Model):
    """A file of somebody's posts; its id is that of the job that writes it."""

    __tablename__ = "post_exports"

    # Not deleted with the account: somebody has to remove the file first.
    author_id: Mapped[UUID | None] = mapped_column(
        ForeignKey(User.id, ondelete="SET NULL"), index=True
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    written_at: Mapped[datetime | None]

    @classmethod
    def of_author(cls, id: UUID, author_id: UUID) -> Self:
        """One that can be fetched. Raises NotFound, for somebody else's too."""
        found = session.get(cls, id)
        if found is None or found.author_id != author_id or found.written_at is None:
            raise NotFound("There is no file of this job, or not yet.")
        return found

    @property
    def file(self) -> str:
        """Its name in the bucket."""
        return f"exports/{self.id}.csv"


_BY_ID = Prepared(select(Post).where(Post.id == bindparam("id")))
_NEWEST = select(Post).order_by(Post.id.desc()).limit(bindparam("limit", type_=Integer))
_FIRST_PAGE = Prepared(_NEWEST)
