"""What accounts take and give."""

import re
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from service.schemas import Body, Out

_EMAIL = re.compile(r"[^@\s\"(),:;<>\[\\\]\x00-\x1f\x7f]+@(?:[\w-]+\.)+[\w-]{2,}")


def _email(value: str) -> str:
    # Whether it exists only a mail can tell; this is against slips of the finger.
    if not _EMAIL.fullmatch(value):
        raise ValueError("is no e-mail address")
    return value


Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=254),
    AfterValidator(_email),
    Field(examples=["alice@example.com"], json_schema_extra={"format": "email"}),
]
Password = Annotated[str, StringConstraints(min_length=10, max_length=200)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class SignUpBody(Body):
    email: Email
    password: Password
    name: Name | None = None


class LoginBody(Body):
    email: Annotated[str, StringConstraints(max_length=254)]
    password: Annotated[str, StringConstraints(max_length=200)]


class AccountBody(Body):
    """What is left out stays as it is. A new address or password needs the current password."""

    name: Name | None = None
    email: Email | None = None
    password: Password | None = None
    current_password: Annotated[str, StringConstraints(max_length=200)] | None = None


class UserOut(Out):
    id: UUID
    email: str
    name: str | None
    created_at: datetime


class TokenOut(Out):
    access_token: str
    token_type: str = "Bearer"
    expires_in: int
