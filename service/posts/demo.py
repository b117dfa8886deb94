"""Demo posts, for development."""

from sqlalchemy import select

from service.db import session
from service.posts.models import Post
from service.users.models import User


def seed() -> None:
    """Twenty posts of each user, once."""
    if session.scalars(select(Post).limit(1)).first() is None:
        for number in range(1, 21):
            for user in session.scalars(select(User).order_by(User.id)):
                body = f"{user.name} wrote this so that there is something to look at."
                session.add(
                    Post(author_id=user.id, title=f"{user.name}'s post {number}", body=body)
                )
