"""What is done for users behind their backs."""

from uuid import UUID

from service import mail
from service.db import session
from service.effects import once
from service.environment import project
from service.queue import job
from service.users.models import User


@job(queue="high", attempts=8, backoff=10, timeout=120)  # over 20 minutes in all
def welcome(user_id: UUID) -> None:
    """Welcome a new user by mail; more than once in the worst case (see mail.py)."""
    if (user := session.get(User, user_id)) is None:  # gone again
        return
    if once(session, f"welcome:{user_id}"):
        name = project()[0]
        greeting = f"Hello {user.name}," if user.name else "Hello,"
        mail.send(user.email, f"Welcome to {name}", f"{greeting}\n\nyour account is ready.\n")
