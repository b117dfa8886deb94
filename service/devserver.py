"""A server of development: a folder, a process, and an end that leaves nothing but the data."""

import contextlib
import os
import pwd
import random
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import psutil

from service.launcher import spawn
from service.ports import is_taken

START_LIMIT = 30.0  # seconds until a server must answer; a recovery after a crash is part of it
LOCAL = ("127.0.0.1",)
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
        self.account: tuple[int, int] | None = None  # (user, group) that it runs as; None: ours
        self._fixed_port = port

    def start(self) -> None:
        """Return when it answers. Raises ServerError, with the end of its log, when it does not."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start it and do not wait: so that several start at the same time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.account = _account(self.folder)
        self._stop_leftover()
        self.port = self._fixed_port or self._free_port()
        self.password = remembered(self.folder / "password", lambda: secrets.token_hex(16))
        self.log.write_bytes(b"")
        self._prepare()
        self.process = self._spawn(self._command())

    def wait(self) -> None:
        """Return when it answers; on another port if somebody was quicker to take the first."""
        try:
            self._wait()
        except ServerError:
            if self._fixed_port or not is_taken(self.port, LOCAL):
                raise
            self.launch()
            self._wait()

    def _wait(self) -> None:
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
            return spawn(command, self.stop_signal, self.account, **streams)

    def _failure(self, what: str) -> ServerError:
        tail = self.log.read_text(errors="replace").splitlines()[-12:]
        return ServerError("\n    ".join([f"{what}. The end of {self.log}:", *tail]))

    def _free_port(self) -> int:
        """The port of last time, so that a URL stays right, unless somebody took it meanwhile."""
        port = int(remembered(self.folder / "port", lambda: str(_any_port())))
        if is_taken(port, LOCAL):
            (self.folder / "port").unlink()
            return self._free_port()
        return port

    def _stop_leftover(self) -> None:
        """Stop the server of this very folder that an earlier run left behind, if there is one."""
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


def remembered(path: Path, make: Callable[[], str]) -> str:
    """The content of a small file that only its owner may read, made at the first call."""
    if not (path.exists() and path.read_text().strip()):
        write_private(path, make())
    return path.read_text().strip()


def write_private(path: Path, text: str) -> None:
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


def _any_port() -> int:
    """A free port, below those that outgoing connections get: no client can sit on it meanwhile."""
    port = random.SystemRandom().randrange(20_000, 26_000)  # tests seed the other one, all alike
    return port if not is_taken(port, LOCAL) else _any_port()


def _kill_tree(pid: int) -> None:
    """SIGKILL a process and its children, and return when they are gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        parent.suspend()  # or it starts another one meanwhile
        family = [parent, *parent.children(recursive=True)]  # parent first: it would start others
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        _gone(family[1:])


def _gone(processes: Sequence[psutil.Process]) -> bool:
    """Wait for processes that are not our children; in a container nobody may reap them."""

    def is_alive(process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
        return False

    deadline = time.monotonic() + STOP_LIMIT
    while any(map(is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(is_alive, processes))
