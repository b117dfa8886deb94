"""The types of environment variables: durations, rates, URLs, origins, secrets.

Add a type: a function that reads the text or raises ValueError with what was expected.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationInfo
from pydantic_settings import NoDecode
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from service.stores import kind_of

# What `.env.example` holds instead of secrets. Refused outside development and tests.
PLACEHOLDER = "change-me"
SHORTEST_SECRET = 32
URL_SCHEMES = (
    "postgresql",
    "postgresql+psycopg",
    "redis",
    "rediss",
    "https",
    "http",
    "smtp",
    "smtps",
)


@dataclass(frozen=True)
class Rate:
    """So many requests in so many seconds."""

    count: int
    seconds: int


# What is wrong with a URL whose password somebody has not escaped.
_ESCAPE = "in a password, special characters are written %40 for @, %2F for /, %3A for :"
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SHARE = re.compile(r"(\d{1,3}(?:\.\d+)?)%")
_HEADER = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)  # a header's name: RFC 9110 section 5.6.2
_RATE = re.compile(r"(\d+) (?:per|/) (?:(\d+) )?(second|minute|hour|day)s?")


def _duration(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not (found := _DURATION.fullmatch(value.strip())):
        raise ValueError("must be a number and a unit, such as 500ms, 15m, 12h or 7d")
    if not float(found[1]):
        raise ValueError("must be longer than nothing")
    unit = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]
    try:
        return timedelta(seconds=float(found[1]) * unit)
    except OverflowError as error:
        raise ValueError("is longer than anything lasts") from error


def _at_least_a_second(value: timedelta) -> timedelta:
    if value < timedelta(seconds=1):
        raise ValueError("must be 1s at least")
    return value


def _refresh(value: Any) -> Any:
    return None if value == "off" else _duration(value)


def share(text: str) -> float:
    """The share of users, from 0 to 1, that a flag is on for. Raises ValueError."""
    if text in ("off", "on"):
        return float(text == "on")
    if not (found := _SHARE.fullmatch(text)) or float(found[1]) > 100:
        raise ValueError("must be on, off or a share of the users, such as 25%")
    return float(found[1]) / 100


def _rate(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = _RATE.fullmatch(" ".join(value.split()))
    if not found or not int(found[1]) or found[2] == "0":
        raise ValueError('must read like "100 per 15 minutes" or "5 per hour"')
    return Rate(int(found[1]), int(found[2] or 1) * _SECONDS[found[3]])


def url(value: SecretStr, schemes: tuple[str, ...]) -> str:
    """The URL as a string, its host known to be there. Never quotes it: it holds a password."""
    text = value.get_secret_value().strip()
    try:
        parts = urlsplit(text)
        _ = parts.port  # parsing it is what refuses a port that is no number
    except ValueError as error:
        raise ValueError("is no URL: check its port and brackets") from error
    if parts.scheme not in schemes:
        raise ValueError(f"must start with {' or '.join(f'{s}://' for s in schemes)}")
    if not parts.hostname and "host=" not in parts.query:
        raise ValueError("names no host")
    return text


def _database_url(value: SecretStr) -> SecretStr:
    # Heroku writes postgres://, which SQLAlchemy refuses.
    found = url(value, ("postgresql", "postgres", "postgresql+psycopg"))
    if not urlsplit(found).path.strip("/"):
        raise ValueError("names no database: it must end in /NAME")
    found = "postgresql+psycopg:" + found.split(":", 1)[1]
    try:
        make_url(found)  # stricter than urlsplit, and quotes the password in its errors
    except (ArgumentError, ValueError):
        raise ValueError(f"is no URL: {_ESCAPE}") from None
    return SecretStr(found)


def _redis_url(value: SecretStr) -> SecretStr:
    found = url(value, ("redis", "rediss"))
    parts = urlsplit(found)
    if parts.query or parts.fragment:
        raise ValueError(f"must have nothing after the database's number: {_ESCAPE}")
    if not re.fullmatch(r"/?|/\d+", parts.path):
        raise ValueError("must end in /NUMBER, of a database, or in nothing")
    return SecretStr(found)


def _smtp_url(value: SecretStr) -> SecretStr:
    return SecretStr(url(value, ("smtp", "smtps")))


def _dsn(value: SecretStr) -> SecretStr:
    parts = urlsplit(url(value, ("https", "http")))
    if not parts.username or not parts.path.rpartition("/")[2].isdecimal():
        raise ValueError("must read like https://KEY@HOST/PROJECT, whose end is a number")
    return value


def headers(text: str) -> dict[str, str]:
    """Headers as OTEL_EXPORTER_OTLP_HEADERS has them, values with %20 for a space. Raises
    ValueError, which quotes nothing of it.
    https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specifying-headers-via-environment-variables
    """
    found = {}
    for each in filter(None, map(str.strip, text.split(","))):
        name, equals, value = each.partition("=")
        value = unquote(value.strip())
        # What requests refuses, it quotes: in a log line.
        sane = value.isascii() and value.isprintable() and value == value.strip()
        if not (equals and sane and _HEADER.fullmatch(name.strip())):
            raise ValueError("must read like NAME=VALUE,NAME=VALUE, with %2C for a comma")
        found[name.strip().lower()] = value
    return found


def _headers(value: SecretStr) -> SecretStr:
    headers(value.get_secret_value())
    return value


def _secrets_from(value: str) -> str:
    kind_of(value)
    return value


def _origins(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(origin.strip().rstrip("/") for origin in value.split(",") if origin.strip())


def _origin(value: str) -> str:
    parts = urlsplit(value)
    bare = parts.scheme in ("http", "https") and value == f"{parts.scheme}://{parts.netloc}"
    if not bare or "@" in parts.netloc:
        # "*" is refused too: browsers do not take it together with credentials.
        shown = re.sub(r"//[^/]*@", "//***@", value)
        raise ValueError(f"{shown!r} is no origin, such as https://app.example.com")
    return value


def is_strict(info: ValidationInfo) -> bool:
    """Whether this is production or staging; APP_ENV is read before all that asks."""
    return info.data.get("app_env") not in ("development", "test")


def _strong(value: SecretStr, info: ValidationInfo) -> SecretStr:
    if is_strict(info) and len(value.get_secret_value().strip()) < SHORTEST_SECRET:
        raise ValueError(f"must have at least {SHORTEST_SECRET} characters")
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Seconds = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_at_least_a_second)]
Refresh = Annotated[
    timedelta | None,
    BeforeValidator(_refresh),
    AfterValidator(lambda value: value and _at_least_a_second(value)),
]
SecretsFrom = Annotated[str, AfterValidator(_secrets_from)]
RateLimit = Annotated[Rate, NoDecode, BeforeValidator(_rate)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
SmtpUrl = Annotated[SecretStr, AfterValidator(_smtp_url)]
Origins = Annotated[
    tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(_origins)
]
StrongSecret = Annotated[SecretStr, AfterValidator(_strong)]
Headers = Annotated[SecretStr, AfterValidator(_headers)]
Dsn = Annotated[SecretStr, AfterValidator(_dsn)]


def redacted(value: object) -> str:
    """A value as it may be shown: nothing of a secret but a URL's user, host and path."""
    if not isinstance(value, SecretStr):
        return str(value)
    parts = urlsplit(value.get_secret_value())
    if not parts.hostname or parts.scheme not in URL_SCHEMES:  # a key may look like a URL
        return "(set)"
    user = f"{parts.username}:***@" if parts.password else ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    mode = f"sslmode={found[0]}" if (found := parse_qs(parts.query).get("sslmode")) else ""
    return urlunsplit((parts.scheme, f"{user}{host}{port}", parts.path, mode, ""))
