"""Posts and the rules about them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Integer, bindparam, func, select
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
    def by_id(cls, session: Session, id: UUID) -> "Post":
        """Raises NotFound."""
        if (post := session.scalars(_BY_ID, {"id": id}).one_or_none()) is None:
            raise NotFound("There is no post with this id.")
        return post

    @classmethod
    def newest(
        cls, session: Session, limit: int, before: UUID | None, author: UUID | None
    ) -> Sequence["Post"]:
        """The newest posts, of ids below `before` and by this author where they are given."""
        query = _NEWEST
        if before:
            query = query.where(cls.id < before)
        if author:
            query = query.where(cls.author_id == author)
        return session.scalars(query, {"limit": limit}).all()

    def edit(self, editor: User, title: str | None, body: str | None) -> None:
        """Raises Forbidden for anyone but the author."""
        self.check_author(editor)
        self.title = title or self.title
        self.body = body or self.body

    def check_author(self, user: User) -> None:
        if self.author_id != user.id:
            raise Forbidden("Only its author may change a post.")


# Built once: SQLAlchemy takes 100 µs to build a query, and 60 to run it.
_BY_ID = select(Post).where(Post.id == bindparam("id"))
_NEWEST = select(Post).order_by(Post.id.desc()).limit(bindparam("limit", type_=Integer))
