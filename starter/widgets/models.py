"""Widgets and the rules about them."""

from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Integer, bindparam, func, select
from sqlalchemy.orm import Mapped, mapped_column

from service.db import Model, Rows, fetch, session
from service.errors import NotFound
from service.rows import Prepared, Row
from service.users.models import User


class Widget(Model):
    __tablename__ = "widgets"
    __table_args__ = (Index(None, "owner_id", "id"),)

    owner_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    @staticmethod
    def show(id: UUID, owner_id: UUID) -> Row:
        """One widget, to be shown. Raises NotFound, for somebody else's too."""
        if not (found := fetch(_BY_ID, id=id, owner_id=owner_id)):
            raise NotFound("There is no widget of yours with this id.")
        return found[0]

    @staticmethod
    def newest(owner_id: UUID, limit: int, before: UUID | None) -> Rows:
        """The newest of an owner, to be shown: of ids below `before`."""
        query = _NEWEST if before is None else _NEWEST.where(Widget.id < before)
        return fetch(query, owner_id=owner_id, limit=limit)

    @classmethod
    def of_owner(cls, id: UUID, owner_id: UUID) -> Self:
        """One widget, to be changed. Raises NotFound, for somebody else's too."""
        found = session.get(cls, id)
        if found is None or found.owner_id != owner_id:
            raise NotFound("There is no widget of yours with this id.")
        return found

    def edit(self, name: str | None) -> None:
        self.name = name or self.name


_OWN = select(Widget).where(Widget.owner_id == bindparam("owner_id"))
_BY_ID = Prepared(_OWN.where(Widget.id == bindparam("id")))
_NEWEST = _OWN.order_by(Widget.id.desc()).limit(bindparam("limit", type_=Integer))
