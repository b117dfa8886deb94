"""Accounts and sign-in over HTTP."""

from flask import Blueprint, Response

from service import idempotency, limits, tokens
from service.db import session
from service.openapi import describe
from service.outbox import enqueue
from service.users import jobs
from service.users.current import current_account, current_user
from service.users.models import User
from service.users.schemas import AccountBody, LoginBody, SignUpBody, TokenOut, UserOut

bp = Blueprint("users", __name__, url_prefix="/api")


@bp.post("/users")
@describe(body=SignUpBody, returns={201: UserOut}, problems=(409,))
def create() -> Response:
    """Sign up."""
    body = SignUpBody.read()
    user = User.sign_up(body.email, body.password, body.name)
    enqueue(session, jobs.welcome, user.id)
    session.commit()
    return UserOut.response(user, 201, {"Location": "/api/users/me"})


@bp.get("/users/me")
@describe(returns={200: UserOut}, signed_in=True)
def show() -> Response:
    """Your account."""
    return UserOut.response(current_user())


@bp.patch("/users/me")
@describe(body=AccountBody, returns={200: UserOut}, signed_in=True, problems=(409,))
def update() -> Response:
    """Change your account.

    A new e-mail address or password needs the current password; a new password ends all
    access tokens.
    """
    user, body = current_account(), AccountBody.read()
    if body.email or body.password:
        limits.count("rate_limit_login")  # a stolen token must not help to guess the password
        user.confirm(body.current_password)
    if "name" in body.model_fields_set:
        user.rename(body.name)
    if body.email:
        user.move(body.email)
    if body.password:
        user.change_password(body.password)
    session.commit()
    return UserOut.response(user)


@bp.delete("/users/me")
@describe(returns={204: None}, signed_in=True)
def destroy() -> Response:
    """Delete your account and all that belongs to it."""
    user = current_account()
    idempotency.forget(user.id)
    session.delete(user)
    session.commit()
    return Response(status=204)


@bp.post("/auth/login")
@limits.strict("rate_limit_login")
@describe(body=LoginBody, returns={200: TokenOut}, problems=(401,))
def login() -> Response:
    """Sign in."""
    body = LoginBody.read()
    user = User.sign_in(body.email, body.password)
    session.commit()
    token, lifetime = tokens.issue(user.id, user.token_generation)
    out = TokenOut(access_token=token, expires_in=lifetime)
    return TokenOut.response(out, headers={"Cache-Control": "no-store"})  # RFC 6749 section 5.1


@bp.post("/auth/logout")
@describe(returns={204: None}, signed_in=True)
def logout() -> Response:
    """Sign out everywhere: all your access tokens end."""
    current_account().sign_out()
    session.commit()
    return Response(status=204)
