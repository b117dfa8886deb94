"""Posts and the rules about them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import ForeignKey, Index, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db import Model
from service.errors import Forbidden, NotFound
from service.users.models import User


class Post(Model):
    __tablename__ = "posts"
    __table_args__ = (Index(None, "author_id", "id"),)

    author_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    title: Mapped[str]
    body: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    @classmethod
    def by_id(cls, session: Session, id: UUID) -> Self:
        """Raises NotFound."""
        if (post := session.get(cls, id)) is None:
            raise NotFound("There is no post with this id.")
        return post

    @classmethod
    def newest(
        cls, session: Session, limit: int, before: UUID | None, author: UUID | None
    ) -> Sequence[Self]:
        """The newest posts, of ids below `before` and by this author where they are given."""
        query = select(cls).order_by(cls.id.desc()).limit(limit)
        if before:
            query = query.where(cls.id < before)
        if author:
            query = query.where(cls.author_id == author)
        return session.scalars(query).all()

    def edit(self, editor: User, title: str | None, body: str | None) -> None:
        """Raises Forbidden for anyone but the author."""
        self.check_author(editor)
        self.title = title or self.title
        self.body = body or self.body

    def check_author(self, user: User) -> None:
        if self.author_id != user.id:
            raise Forbidden("Only its author may change a post.")
