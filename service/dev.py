"""`make dev`: PostgreSQL, Redis and the processes of the service, in one terminal.

Add a process of your own: a line in PROCESSES.
"""

import contextlib
import errno
import fcntl
import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO

import psutil

from service.demo import EMAIL, PASSWORD
from service.devservers import Postgres, Redis, Server, ServerError, remembered, spawn
from service.settings import environment

# Each is (its name in front of its lines, the arguments of `python -m service`).
SETUP = (
    ("migrate", ("migrate",)),
    ("seed", ("seed",)),
)
PROCESSES = (
    ("web", ("web",)),
)  # fmt: skip

GRACE = 30.0  # seconds from SIGTERM to SIGKILL: SHUTDOWN_GRACE and a little
WIDTH = 9  # of a name: "scheduler"
COLOURS = (36, 33, 35, 32, 34, 31)


def run(root: Path) -> int:
    """Return the exit code: 0 when asked to stop, 1 when something could not start or died."""
    given = environment()
    folder = root / ".dev"
    folder.mkdir(exist_ok=True)
    try:
        with only_one_in(folder):
            port = web_port(given.get("PORT") or "8000")
            return _run(root, folder, port, given)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 1


def _run(root: Path, folder: Path, port: int, given: Mapping[str, str]) -> int:
    supervisor = Supervisor(root, given)
    servers: dict[str, Server] = {}
    if not _has(given, "DATABASE_URL"):
        servers["DATABASE_URL"] = Postgres(folder / "postgres")
    if not _has(given, "REDIS_URL"):
        servers["REDIS_URL"] = Redis(folder / "redis")
    try:
        supervisor.serve(*servers.values())
        urls = {variable: server.url for variable, server in servers.items()}
        supervisor.environment = {
            **given,
            **_jwt_secret(folder, given),
            **urls,
            **_development(port),
        }
        for name, arguments in SETUP:
            supervisor.start(name, _service(*arguments))
            if (outcome := supervisor.follow(until=name)) is not None:
                return outcome
        for name, arguments in PROCESSES:
            supervisor.start(name, _service(*arguments))
        supervisor.in_background(_announce, supervisor, port, urls)
        return supervisor.follow() or 0
    except ServerError as error:
        supervisor.say(str(error))
        return 1
    finally:
        supervisor.stop()


def _has(given: Mapping[str, str], variable: str) -> bool:
    return bool(given.get(variable) or given.get(f"{variable}_FILE"))


def _jwt_secret(folder: Path, given: Mapping[str, str]) -> dict[str, str]:
    if _has(given, "JWT_SECRET"):
        return {}
    return {"JWT_SECRET": remembered(folder / "jwt-secret", lambda: secrets.token_urlsafe(48))}


def _development(port: int) -> dict[str, str]:
    return {"APP_ENV": "development", "PORT": str(port), "PYTHONUNBUFFERED": "1"}


def _service(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "service", *arguments]


def _announce(supervisor: "Supervisor", port: int, urls: Mapping[str, str]) -> None:
    """Wait for web's first answer, then say where everything is."""
    while not _answers(port):
        if supervisor.stopping.wait(0.1):
            return
    supervisor.say(
        f"The service answers at http://127.0.0.1:{port}\n"
        f"  sign in     {EMAIL}  {PASSWORD}\n"
        f"  PostgreSQL  {urls.get('DATABASE_URL', 'yours, from DATABASE_URL')}\n"
        f"  Redis       {urls.get('REDIS_URL', 'yours, from REDIS_URL')}\n"
        f"  Ctrl-C stops all of it; the data stays in .dev/"
    )


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", "/health/live")
        return connection.getresponse().status == 200
    return False


@dataclass(frozen=True)
class Exited:
    """A process came to its end; `code` is subprocess's: negative for a signal."""

    name: str
    code: int

    def __str__(self) -> str:
        if self.code < 0:
            return f"{self.name} was killed by {signal.Signals(-self.code).name}"
        return f"{self.name} exited with {self.code}"


@dataclass(frozen=True)
class Asked:
    """A signal asks us to stop."""

    signal: int


class Supervisor:
    """Processes, their output and their end. Threads watch; the main thread starts and decides."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self.root = root
        self.environment = environment
        self.stopping = threading.Event()
        self._events: SimpleQueue[Exited | Asked] = (
            SimpleQueue()
        )  # the one queue that a signal handler may use
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._servers: Sequence[Server] = ()
        self._threads: list[threading.Thread] = []
        self._output = threading.Lock()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda received, _: self._events.put(Asked(received)))

    def serve(self, *servers: Server) -> None:
        """Start the servers, together. Raises ServerError."""
        self._servers = servers
        for server in servers:
            server.launch()
        for server in servers:
            server.wait()
            self.in_background(self._watch, server.name, server.process)

    def start(self, name: str, command: Sequence[str]) -> None:
        process = spawn(
            command,
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        colour = COLOURS[len(self._processes) % len(COLOURS)]
        self._processes[name] = process
        relay = self.in_background(self._relay, name, process.stdout, colour)
        self._threads.append(self.in_background(self._watch, name, process, relay))

    def follow(self, until: str | None = None) -> int | None:
        """Return None once the process `until` ended well, else the exit code of all this."""
        event = self._events.get()
        if isinstance(event, Asked):
            self.say("Stopping …")
            return 0
        if event == Exited(until or "", 0):
            return None
        self.say(f"{event}: stopping the rest.")
        return 1

    def stop(self) -> None:
        """Stop the processes together, then the servers. A Ctrl-C meanwhile kills the processes."""
        self.stopping.set()
        self._signal_all(signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while any(process.poll() is None for process in self._processes.values()):
            try:
                event = self._events.get(timeout=max(0.1, deadline - time.monotonic()))
            except Empty:
                event = Asked(signal.SIGINT)
            if event == Asked(signal.SIGINT):
                self._signal_all(signal.SIGKILL)
        for server in self._servers:
            server.stop()
        for thread in self._threads:
            thread.join(timeout=2)

    def say(self, text: str) -> None:
        for line in text.splitlines():
            self._print("dev", line.encode(), 1)

    def in_background(self, function: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        thread.start()
        return thread

    def _signal_all(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(number)

    def _watch(
        self, name: str, process: subprocess.Popen[bytes], relay: threading.Thread | None = None
    ) -> None:
        code = process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # what it left behind in its session
        if relay:
            relay.join(timeout=2)  # its last words come before ours
        self._events.put(Exited(name, code))

    def _relay(self, name: str, lines: IO[bytes], colour: int) -> None:
        for line in lines:  # the last one may lack its end
            self._print(name, line.rstrip(b"\r\n"), colour)

    def _print(self, name: str, line: bytes, colour: int) -> None:
        prefix = f"{name:{WIDTH}}| "
        if sys.stdout.isatty() and not self.environment.get("NO_COLOR"):
            prefix = f"\033[{colour}m{prefix}\033[0m"
        with self._output:
            try:
                sys.stdout.buffer.write(prefix.encode() + line + b"\n")
                sys.stdout.buffer.flush()
            except OSError:  # the terminal or the reader of our pipe is gone
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                self._events.put(Asked(signal.SIGHUP))


class Refused(Exception):
    """Nothing was started; the message is one line for the developer."""


@contextlib.contextmanager
def only_one_in(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            raise Refused(
                f"make dev runs already in {folder.parent} (pid {holder}): stop that one first."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def web_port(wanted: str) -> int:
    """The port, if web can bind it. Raises Refused, with who holds it."""
    if not (wanted.isdecimal() and 0 < int(wanted) < 65536):
        raise Refused(f"PORT is {wanted!r}; a number from 1 to 65535 is needed: PORT=8001 make dev")
    port = int(wanted)
    if not _is_taken(port):
        return port
    other = next((each for each in range(port + 1, 65536) if not _is_taken(each)), 8001)
    raise Refused(f"Port {port} is taken by {_holder(port)}. Choose another: PORT={other} make dev")


def _is_taken(port: int) -> bool:
    four, six = socket.AF_INET, socket.AF_INET6
    addresses = ((four, "0.0.0.0"), (four, "127.0.0.1"), (six, "::"), (six, "::1"))
    return any(_is_bound(family, host, port) for family, host in addresses)


def _is_bound(family: socket.AddressFamily, host: str, port: int) -> bool:
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:  # no IPv6 here, or a port below 1024: no matter of ours
        return error.errno == errno.EADDRINUSE
    return False


def _holder(port: int) -> str:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return f"pid {process.pid} ({' '.join(process.cmdline())[:100]})"
    return "a process of another user"
