"""Changes that could lock the operator out: they are taken back by a timer on the server itself,
unless a new connection has shown that people still get in.

The order: the old file is put aside; the timer is set; the new file is put in its place and in
force; somebody connects anew; the timer is stopped; the old file goes. Killed anywhere, the timer
takes the change back, or the next boot, which no timer survives; and the next run makes it again
since the old file is there. Only one at a time provisions a server (hold.py).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import gevent
from pyinfra.context import host

from deploy.shell import Failed
from deploy.vps.failures import OPERATOR
from deploy.vps.provision.connection import Line
from deploy.vps.provision.entries import File, digest
from deploy.vps.provision.facts import Paths
from deploy.vps.provision.operations import Act, Acts, Check, differing, files, step, units

HERE = Path(__file__).resolve().parent
PROGRAM = "/usr/local/sbin/slipway-revert"
BOOT = "slipway-revert.service"
AFTER = 90  # seconds
TRY_FOR = 10  # seconds
# $1 the unit, $2 the file, then what puts the file that is there in force.
SET = f"""set -eu
unit=$1 file=$2
shift 2
systemctl stop "$unit.timer" 2>/dev/null || true
systemctl reset-failed "$unit.service" 2>/dev/null || true
if [ ! -e "$file.before" ]; then
    new=$file.before.new
    if [ -e "$file" ]; then cp -p "$file" "$new"; else : >"$new"; fi
    sync "$new"
    mv -f "$new" "$file.before"
    sync "$(dirname "$file")"
fi
systemd-run --quiet --unit="$unit" --on-active={AFTER} --timer-property=AccuracySec=1s \\
    --service-type=oneshot -- {PROGRAM} "$file" "$@"
"""
NOW = """systemctl start "$1.service" && systemctl stop "$1.timer" """
KEEP = """set -eu
systemctl stop "$1.timer"
rm -f "$2.before"
"""


@dataclass(frozen=True)
class Risky:
    """A file, what puts it in force, and what puts the old one in force again. The unit's name does
    not begin with slipway-: those may not write to /etc (units/slipway-.service.d)."""

    unit: str
    file: File
    says: str
    use: tuple[str, ...]
    use_old: tuple[str, ...]


def apply() -> None:
    """What takes a change back is there before the first is made."""
    unit = (HERE.parent / "units" / BOOT).read_text()
    program = File(PROGRAM, (HERE / "revert.sh").read_text(), mode="755")
    step("ssh", files, [program, File(f"/etc/systemd/system/{BOOT}", unit)])
    step("ssh", units, (), [BOOT])


def guarded(risky: Risky, logins: Sequence[str]) -> Acts:
    """Commands that put the file in place, if it is not. `logins`: who must still get in."""
    file = risky.file
    found = host.get_fact(Paths, paths=[file.path, f"{file.path}.before"])
    there = found.get(file.path)
    if there and there.digest == digest(file.content) and f"{file.path}.before" not in found:
        yield from differing([file])  # its mode and owner
        return
    line: Line = host.data.line
    yield Act("", ["sh", "-c", SET, "set", risky.unit, file.path, *risky.use_old])
    yield from differing([file])
    yield Act(risky.says, list(risky.use))
    for user in logins:
        yield Check(f"try a new connection as {user}", _login(line, user, risky))
    yield Act("", ["sh", "-c", KEEP, "keep", risky.unit, file.path])


def _login(line: Line, user: str, risky: Risky) -> Callable[[], None]:
    def check() -> None:
        try:
            can_log_in(line, user)
        except Failed as failure:
            # By the connection that is open still, if it is.
            back = line.ask(line.as_root(["sh", "-c", NOW, "now", risky.unit])).code == 0
            when = "was taken back" if back else f"is taken back within {AFTER} s"
            raise Failed(
                f"{failure}\n{risky.file.path} {when}; nothing after it was done"
            ) from None

    return check


def can_log_in(line: Line, user: str) -> None:
    """Raises Failed."""
    deadline = time.monotonic() + TRY_FOR
    while (ended := line.ask(["true"], user=user, fresh=True)).code:
        # While sshd starts anew, it refuses connections for a moment.
        if "Permission denied" in ended.said or time.monotonic() > deadline:
            why = (ended.said.strip().splitlines() or ["ssh said nothing"])[-1]
            raise Failed(f"a new connection as {user} fails: {why}{_meaning(user, why)}")
        gevent.sleep(0.5)


def _meaning(user: str, why: str) -> str:
    if user != OPERATOR or "Permission denied" not in why:
        return ""
    return (
        "\nNone of the keys that your ssh offers is in `keys` of deploy/servers.toml: add yours"
        " (ssh-add -L shows it)"
    )
