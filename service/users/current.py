"""Who is signed in."""

from flask import g

from service import tokens
from service.db import session
from service.errors import Unauthorized
from service.rows import Row
from service.users.models import User


def current_user() -> Row:
    """The user of the request's token: a row, to be shown. Raises Unauthorized."""
    user: Row | None = g.get("user")
    if user is None:
        claims = tokens.of_request()
        if claims is None:
            raise Unauthorized("Sign in: send an access token as Authorization: Bearer.")
        if isinstance(claims, str):
            raise Unauthorized(claims)
        user = User.of_token(claims.user_id, claims.generation)
        if user is None:
            raise Unauthorized("The access token has ended. Sign in again.")
        g.user = user
    return user


def current_account() -> User:
    """The same as an object of the session, to be changed. Raises Unauthorized."""
    if (user := session.get(User, current_user().id, with_for_update=True)) is None:
        raise Unauthorized("The account is gone.")
    return user


def signed_in() -> Row | None:
    """The user of the request's token, None without one. Raises Unauthorized for a bad one."""
    return current_user() if tokens.of_request() is not None else None
