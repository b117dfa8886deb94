"""The real web server, `python -m service web`, as a child on a free port of this machine."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from email.message import Message
from typing import Any, NamedTuple, Self
from uuid import uuid4

from service import migrations
from service.devservers import Postgres
from service.launcher import spawn
from service.settings import ROOT, Settings, variable
from tests.conftest import JWT_SECRET, make_settings

START_LIMIT = 30.0  # seconds until it must be ready
STOP_LIMIT = 30.0  # seconds from SIGTERM to its end


class Answer(NamedTuple):
    """A response, read to its end."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Served:
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
        **variables: str,
    ) -> None:
        self.port: int = listener.getsockname()[1] if listener else free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.lines: list[str] = []
        self.program = ["-m", "service", "web"]
        self.process: subprocess.Popen[bytes]
        self._listener = listener
        self._reader: threading.Thread
        self.environment = {
            **surroundings(),
            "APP_ENV": "test",
            "LOG_FORMAT": "json",
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "JWT_SECRET": JWT_SECRET,
            "PORT": str(self.port),
            "WEB_CONCURRENCY": "2",
            "RATE_LIMIT_DEFAULT": "1000000 per hour",
            "RATE_LIMIT_LOGIN": "1000000 per hour",
            **variables,
        }
        if listener:
            self.environment["GUNICORN_CMD_ARGS"] = f"--bind=fd://{listener.fileno()}"

    def start(self) -> None:
        """Start it and return when it is ready. Raises AssertionError with its log if it is not."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start it and do not wait."""
        self.process = spawn(
            [sys.executable, *self.program],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(self._listener.fileno(),) if self._listener else (),
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_LIMIT
        while not self._is_ready():
            assert self.process.poll() is None, self.lines[-30:]
            assert time.monotonic() < deadline, self.lines[-30:]
            time.sleep(0.02)

    def stop(self) -> int:
        """Stop it by SIGTERM, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.end()

    def end(self) -> int:
        """Wait until it has ended by itself, its output read, and return its exit code."""
        code = self.process.wait(STOP_LIMIT)
        self._reader.join(STOP_LIMIT)
        return code

    def kill(self) -> None:
        """SIGKILL to it and all its children, which share a session that nobody else is in."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.end()

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

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """What it has logged so far: all events, or those of one name (`request`, …)."""
        found = [json.loads(line) for line in list(self.lines) if line.startswith("{")]
        return [event for event in found if name in (None, event["event"])]

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self.process.poll() is None:
                self.stop()
        finally:
            self.kill()

    def _is_ready(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return self.request("GET", "/health/ready", timeout=5).status == 200
        return False

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as stdout:
            self.lines.extend(line.decode(errors="replace").rstrip("\n") for line in stdout)


def own_database(postgres: Postgres) -> str:
    """The URL of a new database, migrated: for a test that really commits."""
    url = postgres.create_database(f"own_{uuid4().hex}")
    migrations.migrate(make_settings(url, "redis://127.0.0.1:1/0"))
    return url


def surroundings() -> dict[str, str]:
    """The environment of this process without any setting of the service."""
    names = {variable(name, field) for name, field in Settings.model_fields.items()}
    names |= {f"{name}_FILE" for name in names} | {"GUNICORN_CMD_ARGS"}
    return {name: value for name, value in os.environ.items() if name not in names}


def free_port() -> int:
    """A free port, below those that outgoing connections get: no client can sit on it meanwhile."""
    port = random.SystemRandom().randrange(20_000, 32_000)
    with suppress(OSError), socket.create_server(("", port)):
        return port
    return free_port()
