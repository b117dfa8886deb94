"""The few operations that provisioning is made of: each looks, and yields commands for what
differs.

pyinfra's own take a round trip for each file and folder; these take one for all that they are
given, put a file in its place in one move, and remember what has yet to take up a change.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from pyinfra.api.command import PyinfraCommand, QuoteString, StringCommand
from pyinfra.api.host import Host
from pyinfra.api.operation import operation
from pyinfra.api.state import State
from pyinfra.context import host

from deploy.shell import Failed
from deploy.vps.provision.entries import Entry, File, Folder, Gone, digest, made, put, removed
from deploy.vps.provision.facts import PENDING, Below, Found, Paths, Pending, Units

Acts = Generator["PyinfraCommand"]


class Act(StringCommand):
    """A command, and in words what it changes; what has none belongs to the one before or after it,
    and is not told. What it is given comes by standard input. One that `may_fail` is told if it
    does, and stops nothing."""

    def __init__(
        self, says: str, command: Sequence[str], given: str = "", *, may_fail: bool = False
    ) -> None:
        super().__init__(*map(QuoteString, command))
        self.says = says
        self._given = given
        self._may_fail = may_fail

    def execute(self, state: State, host: Host, connector_arguments: Any) -> Any:
        if stopping(state):
            return False, []
        state.trigger_callbacks("changing", host, self.says)
        arguments = {**connector_arguments, "_stdin": self._given}
        done, output = host.run_shell_command(self, **arguments)
        if done:
            state.trigger_callbacks("changed", host, self.says)
        elif self._may_fail:
            state.trigger_callbacks("left_out", host, self.says, output.output)
        else:
            state.trigger_callbacks("failed", host, self.says, output.output)
        return done or self._may_fail, output


class Check(PyinfraCommand):
    """A question that is put from here, and stops the server's provisioning if it raises Failed."""

    def __init__(self, says: str, question: Callable[[], None]) -> None:
        super().__init__()
        self.says = says
        self._question = question

    def execute(self, state: State, host: Host, connector_arguments: Any) -> bool:
        if stopping(state):
            return False
        state.trigger_callbacks("changing", host, self.says)
        try:
            self._question()
        except Failed as failure:
            state.trigger_callbacks("failed", host, self.says, str(failure))
            return False
        return True


class Note(PyinfraCommand):
    """What people are to know, and no change."""

    def __init__(self, says: str) -> None:
        super().__init__()
        self.says = says

    def execute(self, state: State, host: Host, connector_arguments: Any) -> bool:
        state.trigger_callbacks("noted", host, self.says)
        return True


def stopping(state: State) -> bool:
    """Has somebody pressed Ctrl-C? No command is begun then."""
    return any(getattr(each, "stopping", False) for each in state.callback_handlers)


def step(name: str, made: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    """Add an operation to the server in hand, under a name that people read."""
    made(*arguments, **named)
    host.connector_data.setdefault("steps", {})[host.op_hash_order[-1]] = name


@operation()
def files(entries: Sequence[Entry]) -> Acts:
    yield from differing(entries)


def differing(entries: Sequence[Entry]) -> Acts:
    """Commands for the entries that are not as they should be, in the order given."""
    found = host.get_fact(Paths, paths=[entry.path for entry in entries])
    for entry in entries:
        there = found.get(entry.path)
        if (act := _mended(entry, there)) is not None:
            if pending := getattr(entry, "pending", ""):
                pend(pending)
            yield act


def pend(name: str) -> None:
    """In this run; the mark on the server is set by the command itself."""
    host.connector_data.setdefault("pending", set()).add(name)


def _mended(entry: Entry, there: Found | None) -> Act | None:
    if isinstance(entry, Gone):
        return Act(f"remove {entry.path}", removed(entry)) if there else None
    owned = (entry.mode, entry.owner, entry.group)
    same = there is not None and (there.mode, there.owner, there.group) == owned
    if isinstance(entry, Folder):
        if there and there.kind == "d" and same:
            return None
        return Act(f"make folder {entry.path}", made(entry))
    if there and there.kind == "f" and same:
        if there.digest in map(digest, (entry.content, *entry.as_good)):
            return None
    return Act(f"write {entry.path}", put(entry), entry.content)


@operation()
def only(folder: str, entries: Sequence[Entry]) -> Acts:
    """These files and no others in a folder that is ours alone."""
    yield from differing(entries)
    ours = {each.path for each in entries if isinstance(each, File)}
    for path in sorted(host.get_fact(Below, folders=[folder]) - ours):
        yield Act(f"remove {path}", ["rm", "-f", path])


@operation()
def settle(name: str, *commands: Sequence[str], says: str = "") -> Acts:
    """What takes up a change, if there is one: also one that a killed run has left. What it says
    is the last command, unless there are better words."""
    ours = host.connector_data.setdefault("pending", set())
    if name in ours or name in host.get_fact(Pending):
        for command in commands:
            last = command == commands[-1]
            yield Act((says or " ".join(command)) if last else "", command)
        yield Act("", ["rm", "-f", f"{PENDING}/{name}"])
        ours.discard(name)


@operation()
def units(running: Sequence[str], enabled: Sequence[str] = (), off: Sequence[str] = ()) -> Acts:
    """`running`: now and after each boot. `enabled`: after each boot, and left alone now. `off`:
    neither."""
    states = host.get_fact(Units, units=[*running, *enabled, *off])
    yield from known(states)
    for unit in [*running, *enabled]:
        # A unit that is the package's, or made by a generator, is "static" or the like.
        if states.get(unit, {}).get("UnitFileState") in ("disabled", "", None):
            yield Act(f"enable {unit}", ["systemctl", "enable", "--quiet", unit])
    for unit in running:
        yield from started(unit, states)
    yield from disabled({unit: states.get(unit, {}) for unit in off})


def known(states: Mapping[str, Mapping[str, str]]) -> Acts:
    """Have systemd read what was written of them."""
    if any(state.get("NeedDaemonReload") == "yes" for state in states.values()):
        yield Act("", ["systemctl", "daemon-reload"])


def started(unit: str, states: Mapping[str, Mapping[str, str]]) -> Acts:
    if states.get(unit, {}).get("ActiveState") not in ("active", "activating", "reloading"):
        yield Act(f"start {unit}", ["systemctl", "start", unit])


def disabled(states: Mapping[str, Mapping[str, str]]) -> Acts:
    """Commands that stop those of these units that run, and will not run after a boot."""
    for unit, state in states.items():
        if state.get("UnitFileState") == "enabled" or state.get("ActiveState") == "active":
            yield Act(f"disable {unit}", ["systemctl", "disable", "--quiet", "--now", unit])
