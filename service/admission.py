"""Who may see /ops: who sends OPS_TOKEN as a bearer token, or the cookie that is given for it.

Nothing to change here. The cookie says when it ends, and is signed with OPS_TOKEN: the server
keeps nothing, and a new token ends every session.
"""

import hashlib
import hmac
import time
from datetime import timedelta
from urllib.parse import urlsplit

from flask import Request
from pydantic import SecretStr

COOKIE = "ops"
LIFETIME = timedelta(hours=12)


def is_token(token: SecretStr, given: str) -> bool:
    return hmac.compare_digest(token.get_secret_value().encode(), given.encode(errors="replace"))


def issue(token: SecretStr, now: float | None = None) -> str:
    """The value of a cookie that is good for LIFETIME from now (Unix seconds)."""
    end = int(time.time() if now is None else now) + int(LIFETIME.total_seconds())
    return f"{end}.{_signature(token, str(end))}"


def is_valid(token: SecretStr, cookie: str) -> bool:
    """Whether we made this cookie, with this token, and it has not ended."""
    end, _, signature = cookie.partition(".")
    expected = _signature(token, end).encode()
    if not hmac.compare_digest(expected, signature.encode(errors="replace")):
        return False
    return time.time() < int(end)  # a number, or we had not signed it


def _signature(token: SecretStr, end: str) -> str:
    key = token.get_secret_value().encode()
    return hmac.new(key, f"/ops until {end}".encode(errors="replace"), hashlib.sha256).hexdigest()


def is_from_here(request: Request) -> bool:
    """Whether a browser says that a page of ours sent this; one that says nothing is not believed.

    Sec-Fetch-Site is sent to https and localhost only, Origin with each POST. Of that the name
    counts, without its port, which a proxy need not hand on.
    """
    if site := request.headers.get("Sec-Fetch-Site"):
        return site == "same-origin"
    try:
        origin = urlsplit(request.headers.get("Origin", "")).hostname
        return origin is not None and origin == urlsplit(f"//{request.host}").hostname
    except ValueError:
        return False
