"""What a person reads: which server, which step, what is changed."""

import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyinfra.api.host import Host
from pyinfra.api.state import BaseStateCallback, State

from deploy.shell import LAST_LINES, say


class Report(BaseStateCallback):
    """Called by pyinfra as it goes; counts changes by server."""

    def __init__(self, names: list[str]) -> None:
        self.changes: Counter[str] = Counter()
        self.failures: dict[str, str] = {}
        self.stopping = False
        self._changed: set[tuple[str, str]] = set()  # servers and steps
        self._width = max(map(len, names), default=0)

    def line(self, server: str, text: str) -> None:
        say(f"{server:<{self._width}}  {text}")

    # mypy: pyinfra declares these as static, and calls them on the instance.
    def operation_host_success(  # type: ignore[override]
        self, state: State, host: Host, op_hash: str, retry_count: int = 0
    ) -> None:
        steps = host.connector_data["steps"]
        name = steps[op_hash]
        is_last = [each for each in steps if steps[each] == name][-1] == op_hash
        if is_last and (host.name, name) not in self._changed:
            self.line(host.name, f"{name}: as it should be")

    def operation_host_error(  # type: ignore[override]
        self, state: State, host: Host, op_hash: str, retry_count: int = 0, max_retries: int = 0
    ) -> None:
        if not self.stopping:
            self.failures.setdefault(host.name, f"{step(state, op_hash, host)}: failed")

    def changing(self, state: State, host: Host, says: str) -> None:
        """Before a command."""
        if says:
            self.line(host.name, f"{step(state, host.executing_op_hash, host)}: {says}")

    def changed(self, state: State, host: Host, says: str) -> None:
        self.changes[host.name] += bool(says)
        self._changed.add((host.name, step(state, host.executing_op_hash, host)))

    def noted(self, state: State, host: Host, says: str) -> None:
        name = step(state, host.executing_op_hash, host)
        self._changed.add((host.name, name))
        self.line(host.name, f"{name}: {says}")

    def failed(self, state: State, host: Host, says: str, why: str) -> None:
        why = why or self.failures.get(host.name, "")  # of ssh, if the connection was lost
        lines = [line for line in why.splitlines() if line.strip()][-LAST_LINES:]
        text = "\n    ".join([f"{says} failed" if says else "failed", *lines])
        self.failures[host.name] = f"{step(state, host.executing_op_hash, host)}: {text}"

    def left_out(self, state: State, host: Host, says: str, why: str) -> None:
        """What a server can do without."""
        last = (why.strip().splitlines() or ["no word why"])[-1]
        name = step(state, host.executing_op_hash, host)
        self._changed.add((host.name, name))
        self.line(host.name, f"{name}: {says}: not possible here, and left out: {last}")

    def lost(self, state: State, host: Host, why: str) -> None:
        """The connection, or its other end's patience."""
        self.failures.setdefault(host.name, why)

    @contextmanager
    def finishing_commands(self) -> Iterator[None]:
        """Within: Ctrl-C ends us between two commands, a second one at once. The callers of
        commands look at `stopping`."""
        before = signal.signal(signal.SIGINT, self._stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _stop(self, *_: Any) -> None:
        if self.stopping:
            raise KeyboardInterrupt
        self.stopping = True
        say("… stops when this has ended (again: at once)", sys.stderr)


def step(state: State, op_hash: str | None, host: Host) -> str:
    """An operation's name, by which people know it. Servers of other roles have other operations in
    the same place, so that pyinfra's own names are of all of them; ours is the server's."""
    return str(host.connector_data["steps"].get(op_hash, "?"))
