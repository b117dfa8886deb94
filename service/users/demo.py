"""Demo accounts, for development."""

from sqlalchemy import select

from service.db import session
from service.users.models import User

PASSWORD = "demo-password"
EMAIL = "alice@example.com"
PEOPLE = (("alice", EMAIL), ("bob", "bob@example.com"), ("charlie", "charlie@example.com"))


def seed() -> None:
    """Three users, once."""
    if session.scalars(select(User).limit(1)).first() is None:
        for name, email in PEOPLE:
            User.sign_up(email, PASSWORD, name.capitalize())
