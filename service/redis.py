"""Redis: one client per app, with time-outs that a request can bear.

Nothing to change here; the address is REDIS_URL.
"""

from typing import Any, cast

from flask import Flask, current_app
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.settings import Settings

# Together the 250 ms that a request waits for a Redis that is gone, once (see limits.py).
CONNECT_TIMEOUT = 0.1  # seconds
ANSWER_TIMEOUT = 0.15  # seconds


def make_client(settings: Settings, **changes: Any) -> "Redis[Any]":
    """A client that neither retries nor waits. redis-py's own defaults wait 5 s, ten times."""
    url = settings.redis_url.get_secret_value()
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": ANSWER_TIMEOUT,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        "client_name": "service",
    }
    if url.startswith("rediss:") and not settings.redis_tls_verify:
        options |= {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
    return Redis.from_url(url, **(options | changes))


def redis() -> "Redis[Any]":
    """The client of the current app."""
    return cast("Redis[Any]", current_app.extensions["redis"])


def init_app(app: Flask, settings: Settings) -> None:
    app.extensions["redis"] = make_client(settings)
