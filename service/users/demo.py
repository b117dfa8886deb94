"""Demo accounts, for development."""

from sqlalchemy import select

from service.db import session
from service.users.models import User

PASSWORD = "demo-password"
EMAIL = "alice@example.com"
PEOPLE = (("alice", EMAIL), ("bob", "bob@example.com"), ("charlie", "charlie@example.com"))


def seed() -> None:
    """Three users, each once, beside whoever is there."""
    emails = [email for _, email in PEOPLE]
    there = set(session.scalars(select(User.email).where(User.email.in_(emails))))
    for name, email in PEOPLE:
        if email not in there:
            User.sign_up(email, PASSWORD, name.capitalize())
