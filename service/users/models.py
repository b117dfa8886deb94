"""Accounts and the rules about them."""

from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import bindparam, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from service import passwords
from service.db import Model, fetch, session
from service.errors import Conflict, Unauthorized
from service.rows import Prepared, Row


class User(Model):
    __tablename__ = "users"

    email: Mapped[str] = mapped_column(unique=True)  # in lower case
    name: Mapped[str | None]
    password_hash: Mapped[str]
    # Part of each access token. Raising it ends all of the user's tokens.
    token_generation: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @classmethod
    def sign_up(cls, email: str, password: str, name: str | None = None) -> Self:
        """A new user, already flushed. Raises Conflict if the address is taken."""
        user = cls(email=email.lower(), name=name, password_hash=passwords.hash(password))
        session.add(user)
        user._flush()
        return user

    @classmethod
    def sign_in(cls, email: str, password: str) -> Self:
        """The user of this address and password.

        Raises Unauthorized, in the same words and time for a wrong password as for an unknown
        address.
        """
        user = session.scalars(select(cls).where(cls.email == email.lower())).one_or_none()
        if not passwords.matches(user.password_hash if user else None, password) or user is None:
            raise Unauthorized("The e-mail address or the password is wrong.")
        if passwords.is_outdated(user.password_hash):
            user.password_hash = passwords.hash(password)
        return user

    @staticmethod
    def of_token(id: UUID, generation: int) -> Row | None:
        """The user of a token, to be shown; None if they are gone or have signed out since."""
        found = fetch(_OF_TOKEN, id=id, generation=generation)
        return found[0] if found else None

    def sign_out(self) -> None:
        """End every token of this user."""
        self.token_generation = User.token_generation + 1

    def rename(self, name: str | None) -> None:
        self.name = name

    def move(self, email: str) -> None:
        """Change the address. Raises Conflict if it is taken."""
        self.email = email.lower()
        self._flush()

    def change_password(self, password: str) -> None:
        """Change the password, and end every token: who knew the old one is out."""
        self.password_hash = passwords.hash(password)
        self.sign_out()

    def confirm(self, password: str | None) -> None:
        """Raises Unauthorized unless this is the user's password."""
        if not password or not passwords.matches(self.password_hash, password):
            raise Unauthorized("The current password is wrong.")

    def _flush(self) -> None:
        try:
            session.flush()
        except IntegrityError as error:
            raise Conflict("This e-mail address is taken.") from error


_OF_TOKEN = Prepared(
    select(User).where(User.id == bindparam("id"), User.token_generation == bindparam("generation"))
)
