"""Uploads and the rules about them."""

from datetime import UTC, datetime, timedelta
from typing import Self
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from service.db import Model, session
from service.errors import NotFound
from service.storage import Form, Storage
from service.users.models import User

LARGEST = 100 * 1024 * 1024  # bytes
LIFETIME = timedelta(minutes=15)  # of a form or URL


class Upload(Model):
    """A file that a user was allowed to send. Whether it has arrived only the bucket knows."""

    __tablename__ = "uploads"

    owner_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    filename: Mapped[str]
    content_type: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)  # bytes
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @classmethod
    def of_owner(cls, id: UUID, owner_id: UUID) -> Self:
        """Raises NotFound, also for an upload of someone else: it is none of the caller's."""
        upload = session.get(cls, id)
        if upload is None or upload.owner_id != owner_id:
            raise NotFound("There is no upload of yours with this id.")
        return upload

    @property
    def key(self) -> str:
        """The object's key: no part of it is chosen by a client."""
        return f"uploads/{self.owner_id}/{self.id}"

    def form(self, storage: Storage) -> Form:
        return storage.upload_form(
            self.key, self.content_type, self.size, LIFETIME, datetime.now(UTC)
        )

    def url(self, storage: Storage) -> str:
        return storage.download_url(self.key, self.filename, LIFETIME, datetime.now(UTC))
