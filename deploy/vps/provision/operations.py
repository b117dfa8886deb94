"""The few operations that provisioning is made of: each looks, and yields commands for what
differs.

pyinfra's own take a round trip for each file and folder; these take one for all that they are
given, put a file in its place in one move, and remember what has yet to take up a change.
"""

import hashlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from pyinfra.api.command import PyinfraCommand, QuoteString, StringCommand
from pyinfra.api.host import Host
from pyinfra.api.operation import operation
from pyinfra.api.state import State
from pyinfra.context import host

from deploy.shell import Failed
from deploy.vps.provision.facts import PENDING, Below, Found, Paths, Pending, Units

# $1 path, $2 owner, $3 group, $4 mode, $5 what has to take it up; then what checks it, if anything.
PUT = f"""set -eu
umask 077
path=$1 new=$1.new
if [ -n "$5" ]; then mkdir -p {PENDING}; : >"{PENDING}/$5"; fi
cat >"$new"
chown "$2:$3" "$new"
chmod "$4" "$new"
shift 5
if [ $# -gt 0 ] && ! "$@" "$new"; then rm -f "$new"; exit 1; fi
mv -fT "$new" "$path"
"""


@dataclass(frozen=True)
class File:
    """`check` is a command that is given the new file's path before it is put in its place;
    `pending` the unit that is to take it up (see `settle`); `as_good` are contents that may stay.
    """

    path: str
    content: str
    mode: str = "644"
    owner: str = "root"
    group: str = "root"
    check: tuple[str, ...] = ()
    pending: str = ""
    as_good: tuple[str, ...] = ()


@dataclass(frozen=True)
class Folder:
    path: str
    mode: str = "755"
    owner: str = "root"
    group: str = "root"


@dataclass(frozen=True)
class Gone:
    """No file is to be there."""

    path: str
    pending: str = ""


Entry = File | Folder | Gone
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
        return Act(f"remove {entry.path}", _removed(entry)) if there else None
    owned = (entry.mode, entry.owner, entry.group)
    same = there is not None and (there.mode, there.owner, there.group) == owned
    if isinstance(entry, Folder):
        # Names, not ids, and mode: install makes the folder or mends it.
        command = ["install", "-d", "-m", entry.mode, "-o", entry.owner, "-g", entry.group]
        if there and there.kind == "d" and same:
            return None
        return Act(f"make folder {entry.path}", [*command, entry.path])
    if there and there.kind == "f" and same:
        if there.digest in map(digest, (entry.content, *entry.as_good)):
            return None
    return Act(f"write {entry.path}", put(entry), entry.content)


def put(file: File) -> list[str]:
    """The command that writes what it reads."""
    where = [file.path, file.owner, file.group, file.mode, file.pending]
    return ["sh", "-c", PUT, "put", *where, *file.check]


def digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _removed(entry: Gone) -> list[str]:
    return ["sh", "-c", _marked(entry.pending) + 'rm -f "$1"', "remove", entry.path]


def _marked(pending: str) -> str:
    return f"mkdir -p {PENDING}; : >{PENDING}/{pending}\n" if pending else ""


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
    if any(state.get("NeedDaemonReload") == "yes" for state in states.values()):
        yield Act("", ["systemctl", "daemon-reload"])
    for unit in [*running, *enabled]:
        # A unit that is the package's, or made by a generator, is "static" or the like.
        if states.get(unit, {}).get("UnitFileState") in ("disabled", "", None):
            yield Act(f"enable {unit}", ["systemctl", "enable", "--quiet", unit])
    for unit in running:
        if states.get(unit, {}).get("ActiveState") not in ("active", "activating", "reloading"):
            yield Act(f"start {unit}", ["systemctl", "start", unit])
    for unit in off:
        state = states.get(unit, {})
        if state.get("UnitFileState") == "enabled" or state.get("ActiveState") == "active":
            yield Act(f"disable {unit}", ["systemctl", "disable", "--quiet", "--now", unit])
