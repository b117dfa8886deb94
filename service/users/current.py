"""Who is signed in."""

from flask import g

from service import tokens
from service.errors import Unauthorized
from service.users.models import User


def current_user() -> User:
    """The user of the request's token, loaded once. Raises Unauthorized."""
    if (user := g.get("user")) is None:
        claims = tokens.of_request()
        if claims is None:
            raise Unauthorized("Sign in: send an access token as Authorization: Bearer.")
        if isinstance(claims, str):
            raise Unauthorized(claims)
        user = User.of_token(claims.user_id, claims.generation)
        if user is None:
            raise Unauthorized("The access token has ended. Sign in again.")
        g.user = user
    return user  # type: ignore[no-any-return]


def signed_in() -> User | None:
    """The user of the request's token, None without one. Raises Unauthorized for a bad one."""
    return current_user() if tokens.of_request() is not None else None
