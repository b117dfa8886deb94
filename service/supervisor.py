"""Several processes in one terminal: their output, their end, and that none is left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO

from service.devserver import Server
from service.launcher import spawn

GRACE = 30.0  # seconds from SIGTERM to SIGKILL: SHUTDOWN_GRACE and a little
LOOK_EVERY = 0.5  # seconds between two looks for changes of the code
WIDTH = 9  # of a name: "scheduler"
COLOURS = (36, 33, 35, 32, 34, 31)


@dataclass(frozen=True)
class Exited:
    """A process came to its end; `code` is subprocess's: negative for a signal."""

    name: str
    code: int
    pid: int = field(default=0, compare=False)

    def __str__(self) -> str:
        if self.code < 0:
            return f"{self.name} was killed by {signal.Signals(-self.code).name}"
        return f"{self.name} exited with {self.code}"


@dataclass(frozen=True)
class Asked:
    """A signal asks us to stop."""

    signal: int


@dataclass(frozen=True)
class Changed:
    """The code has changed."""


class Supervisor:
    """Processes, their output and their end. Threads watch; the main thread starts and decides."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self.root = root
        self.environment = environment
        self.stopping = threading.Event()
        # The one queue that a signal handler may use.
        self._events: SimpleQueue[Exited | Asked | Changed] = SimpleQueue()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, Sequence[str]] = {}
        self._reloaded: Sequence[str] = ()
        self._has_changed = False
        self._told: set[int] = set()  # to end, for a change of the code: pids
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

    def reload(self, names: Sequence[str], folder: Path) -> None:
        """Start these processes anew whenever a Python file of the folder changes."""
        self._reloaded = names
        self.in_background(self._look_for_changes, folder, _times(folder))

    def start(self, name: str, command: Sequence[str]) -> None:
        self._commands[name] = command
        process = spawn(
            command,
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        colour = COLOURS[list(self._commands).index(name) % len(COLOURS)]
        self._processes[name] = process
        relay = self.in_background(self._relay, name, process.stdout, colour)
        self._threads.append(self.in_background(self._watch, name, process, relay))

    def follow(self, until: str | None = None) -> int | None:
        """Return None once the process `until` ended well, else the exit code of all this."""
        while self._bears(event := self._events.get()):
            pass
        if isinstance(event, Asked):
            self.say("Stopping …")
            return 0
        if event == Exited(until or "", 0):
            return None
        self.say(f"{event}: stopping the rest.")
        return 1

    def _bears(self, event: Exited | Asked | Changed) -> bool:
        """Whether it is no reason to stop: a change of the code, or what followed from one."""
        if isinstance(event, Changed):
            self._has_changed = True
            for name in self._reloaded:
                if (process := self._processes[name]).poll() is None:
                    self._told.add(process.pid)
                    process.send_signal(signal.SIGTERM)  # and goes on below
                else:
                    self.start(name, self._commands[name])
            return True
        if not (isinstance(event, Exited) and event.name in self._reloaded and self._has_changed):
            return False
        if event.pid != self._processes[event.name].pid:
            return True  # its successor runs
        unheard = event.code == -signal.SIGTERM and event.pid in self._told  # no handler yet
        if event.code == 0 or unheard:
            self.start(event.name, self._commands[event.name])
        else:
            self.say(f"{event}: it is started again when the code has changed.")
        return True

    def _look_for_changes(self, folder: Path, seen: object) -> None:
        while not self.stopping.wait(LOOK_EVERY):
            if (now := _times(folder)) != seen:
                seen = now
                self._events.put(Changed())

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
            relay.join(timeout=10)  # its last words come before ours
        self._events.put(Exited(name, code, process.pid))

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


def _times(folder: Path) -> dict[Path, float]:
    """When each Python file of the folder was changed."""
    found = {}
    for path in folder.rglob("*.py"):
        with contextlib.suppress(FileNotFoundError):  # an editor replaces it just now
            found[path] = path.stat().st_mtime
    return found
