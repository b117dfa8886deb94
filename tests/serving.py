"""The real web server, `python -m service web`, as a child on a free port of this machine."""

import http.client
import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from email.message import Message
from typing import Any, NamedTuple
from uuid import uuid4

from service import migrations
from service.devservers import Postgres
from tests.children import Child
from tests.conftest import JWT_SECRET, make_settings
from tests.ports import free_port


class Answer(NamedTuple):
    """A response, read to its end."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Served(Child):
    """`python -m service web` with these settings, ready when the `with` begins, gone after it.

    Further settings go by their variable's name: `Served(…, WEB_CONCURRENCY="1")`. With a
    `listener`, a socket that listens already, it serves that instead of binding a port.
    """

    def __init__(
        self,
        database_url: str,
        redis_url: str,
        *,
        listener: socket.socket | None = None,
        **more: str,
    ) -> None:
        self.port: int = listener.getsockname()[1] if listener else free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        web = {"PORT": str(self.port), "WEB_CONCURRENCY": "2"}
        if listener:
            web["GUNICORN_CMD_ARGS"] = f"--bind=fd://{listener.fileno()}"
        super().__init__(
            ["-m", "service", "web"], {**variables(database_url, redis_url), **web, **more}
        )
        if listener:
            self._options = {"pass_fds": (listener.fileno(),)}

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30,
    ) -> Answer:
        """One request on a connection of its own; a body that is no bytes is sent as JSON."""
        sent = {"Connection": "close", **(headers or {})}
        if body is not None and not isinstance(body, bytes):
            body, sent = json.dumps(body).encode(), {"Content-Type": "application/json", **sent}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def is_ready(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return self.request("GET", "/health/ready", timeout=5).status == 200
        return False


def own_database(postgres: Postgres) -> str:
    """The URL of a new database, migrated: for a test that really commits."""
    url = postgres.create_database(f"own_{uuid4().hex}")
    migrations.migrate(make_settings(url, "redis://127.0.0.1:1/0"))
    return url


def variables(database_url: str, redis_url: str) -> dict[str, str]:
    """The environment of a process of the service under test."""
    return {
        "APP_ENV": "test",
        "LOG_FORMAT": "json",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "JWT_SECRET": JWT_SECRET,
        "RATE_LIMIT_DEFAULT": "1000000 per hour",
        "RATE_LIMIT_LOGIN": "1000000 per hour",
    }
