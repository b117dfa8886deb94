"""Real processes of the service as children: their environment, their lines, and their end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

from service.environment import ROOT, variable
from service.launcher import spawn
from service.settings import Settings

START_LIMIT = 120.0  # seconds until it must be ready
STOP_LIMIT = 40.0  # seconds from SIGTERM to its end


class Child:
    """A command that runs while the `with` lasts, in a session of its own, and is gone after it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.command = command
        self.environment = {**surroundings(), **environment}
        self.lines: list[str] = []
        self.process: subprocess.Popen[bytes]
        self._reader: threading.Thread
        self._options: dict[str, Any] = {}

    def start(self) -> None:
        """Start it and return when it is ready. Raises AssertionError with its log if it is not."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start it and do not wait."""
        self.process = spawn(
            [sys.executable, *self.command],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **self._options,
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()

    def wait_until_ready(self) -> None:
        self.wait_for(self.is_ready)

    def wait_for(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + START_LIMIT
        while not condition():
            assert self.process.poll() is None, self.lines[-30:]
            assert time.monotonic() < deadline, self.lines[-30:]
            time.sleep(0.02)

    def is_ready(self) -> bool:
        raise NotImplementedError

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
        self.signal_group(signal.SIGKILL)
        self.end()

    def signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

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

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as stdout:
            self.lines.extend(line.decode(errors="replace").rstrip("\n") for line in stdout)


class Logs(Child):
    """A child that is ready when it has logged an event."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], ready: str) -> None:
        super().__init__(command, environment)
        self._ready = ready

    def is_ready(self) -> bool:
        return bool(self.events(self._ready))


def surroundings() -> dict[str, str]:
    """The environment of this process without any setting of the service."""
    names = {variable(name, field) for name, field in Settings.model_fields.items()}
    names |= {f"{name}_FILE" for name in names} | {"GUNICORN_CMD_ARGS"}
    return {name: value for name, value in os.environ.items() if name not in names}
