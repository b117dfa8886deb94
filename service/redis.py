"""Redis: one client per app, with time-outs that a request can bear.

Nothing to change here; the address is REDIS_URL.
"""

import hashlib
import sys
import threading
import weakref
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

from flask import Flask, current_app
from redis import AuthenticationError, ConnectionError, CredentialProvider, Redis, RedisError
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import NoScriptError
from redis.retry import Retry

from service.rotation import Renewable, is_renewed
from service.settings import Settings

if sys.modules.get("opentelemetry") is None:  # see service/__init__.py
    sys.modules.pop("opentelemetry", None)

# Together the 250 ms that a request waits for a Redis that is gone, once (see limits.py).
CONNECT_TIMEOUT = 0.1  # seconds
ANSWER_TIMEOUT = 0.15  # seconds


def make_client(settings: Settings, **changes: Any) -> Redis:
    """A client that neither retries nor waits. redis-py's own defaults wait 5 s, ten times."""
    url = settings.redis_url.get_secret_value()
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": ANSWER_TIMEOUT,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        "client_name": "service",
        # What a connection would tell of the library: two more answers to wait for.
        "driver_info": None,
    }
    if url.startswith("rediss:") and not settings.redis_tls_verify:
        options |= {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
    if isinstance(settings.redis_url, Renewable):
        credentials = Newest(settings.redis_url)
        authenticate = partial(_authenticate, settings.redis_url)
        options |= {"credential_provider": credentials, "redis_connect_func": authenticate}
        parts = urlsplit(url)  # the library takes no credentials beside a provider of them
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return Redis.from_url(url, **(options | changes))


class Newest(CredentialProvider):
    """The user and password that REDIS_URL has when a connection is made. (Its host stays.)"""

    def __init__(self, url: Renewable) -> None:
        self._url = url

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        found = parse_url(self._url.get_secret_value())  # type: ignore[no-untyped-call]
        if "username" in found:
            return found["username"], found.get("password", "")
        return (found.get("password", ""),)

    def __deepcopy__(self, _: Any) -> "Newest":
        return self


def _authenticate(url: Renewable, connection: Any) -> None:
    """What is done with a new connection: sign in, and again if REDIS_URL is another one by now.

    It is waited for as long as for an answer of Redis: what is not there yet, the next one gets.
    """
    used = url.get_secret_value()
    try:
        connection.on_connect()
    except AuthenticationError:
        if not is_renewed(url, used, ANSWER_TIMEOUT):
            raise
        connection.on_connect()


class Script:
    """A Lua script, called on a connection of each thread's own.

    For the one call that every request makes: 35 µs where the client's way through its pool
    takes 80. Raises RedisError; each step, of which a new connection takes some, has its time-out.
    """

    def __init__(self, client: Redis, source: str) -> None:
        self._make_connection = client.connection_pool.make_connection
        self._source = source
        self._hash = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        self._local = threading.local()
        self._open: set[Any] = set()
        weakref.finalize(self, _disconnect, self._open)

    def __call__(self, keys: Sequence[str], arguments: Sequence[int | str]) -> Any:
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            try:
                return self._call(connection, keys, arguments)
            except ConnectionError:
                pass  # it was closed while it was idle: Redis has restarted
        connection = self._local.connection = self._make_connection()
        self._open.add(connection)
        return self._call(connection, keys, arguments)

    def _call(self, connection: Any, keys: Sequence[str], arguments: Sequence[int | str]) -> Any:
        try:
            return self._ask(connection, "EVALSHA", self._hash, len(keys), *keys, *arguments)
        except NoScriptError:  # a Redis that is new or was emptied
            return self._ask(connection, "EVAL", self._source, len(keys), *keys, *arguments)
        except RedisError:
            self._local.connection = None
            self._open.discard(connection)
            connection.disconnect()
            raise

    def _ask(self, connection: Any, *command: str | int) -> Any:
        connection.send_packed_command([packed(*command)], check_health=False)
        return connection.read_response()


def packed(*command: str | int) -> bytes:
    """A command in Redis' protocol: the client's own way looks at what may be anything.

    https://redis.io/docs/latest/develop/reference/protocol-spec/#sending-commands-to-a-redis-server
    """
    words = [str(each).encode() for each in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)


def _disconnect(connections: Iterable[Any]) -> None:
    for connection in connections:
        connection.disconnect()


def redis() -> Redis:
    """The client of the current app."""
    return cast(Redis, current_app.extensions["redis"])


def init_app(app: Flask, settings: Settings) -> None:
    app.extensions["redis"] = make_client(settings)
