"""The words of `slipway VERB`."""

import argparse
from datetime import UTC, datetime
from typing import Protocol

from deploy.vps.host import processes

MOMENT = "YYYYMMDDTHHMMSSZ"
DESCRIPTION = "The service on this server. What changes something says who serves if it fails."


class Add(Protocol):
    """Adds a verb: one that changes something is logged, and one at a time."""

    def __call__(
        self, name: str, text: str, *, changes: bool = False, machine: bool = False
    ) -> argparse.ArgumentParser: ...


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="slipway", description=DESCRIPTION, allow_abbrev=False)
    verbs = found.add_subparsers(dest="verb", required=True, metavar="VERB")

    def add(
        name: str, text: str, *, changes: bool = False, machine: bool = False
    ) -> argparse.ArgumentParser:
        each = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
        if changes:
            each.add_argument("--who", help="for the log (default: the user, and from where)")
            each.add_argument("--token", help="of the hold that this is a part of")
            each.add_argument(
                "--attended", action="store_true", help="the end of standard input is a Ctrl-C"
            )
        if changes or machine:
            each.add_argument("--json", action="store_true", help="for machines")
        return each

    _add_releases(add)
    _add_looks(add)
    _add_data(add)
    _add_switches(add)
    return found


def _add_releases(add: Add) -> None:
    for name, text in (
        ("release", "have a commit serve: a branch, a tag, a commit"),
        ("prepare", "only unpack a commit, provide its packages and check its variables"),
    ):
        found = add(name, text, changes=True)
        found.add_argument("name", metavar="REF")
        found.add_argument("--at", type=moment, metavar=MOMENT, help="in its name (now)")
    asked = add("resolve", "the commit that a name stands for", machine=True)
    asked.add_argument("name", metavar="REF")
    for name, text in (
        ("turn", "start a release, try it, and switch to it; the one before still runs"),
        ("workers", "replace worker and scheduler by those of a release"),
        ("smoke", "ask a release that serves, and send a job through its worker"),
        ("settle", "a release serves for good: end the one before, remove what is too old"),
        ("discard", "take away a release that does not serve"),
    ):
        add(name, text, changes=True).add_argument("name", metavar="RELEASE")
    behind = add(
        "migrate",
        "bring the schema up to a release that was prepared, after a back-up",
        changes=True,
    )
    behind.add_argument("name", metavar="RELEASE")
    behind.add_argument("--pending", action="store_true", help="only say what would be done")
    behind.add_argument("--no-backup", action="store_true", help="there is one already")
    back = add(
        "rollback", "back to the release before, in seconds, or to a named one", changes=True
    )
    back.add_argument("name", metavar="RELEASE", nargs="?", help="its name, or its commit")
    add("receive", "what Git's hook calls: release what was pushed")
    add("ssh", "what sshd calls for a key of CI: only what that may do")


def _add_looks(add: Add) -> None:
    add("status", "what serves, and how it is", machine=True)
    add("measure", "write down for Prometheus what its node exporter does not know")
    logs = add("logs", "what the service said")
    logs.add_argument("unit", nargs="*", metavar="UNIT", help=", ".join(processes.LOGS))
    logs.add_argument("-f", "--follow", action="store_true", help="and what it says next")
    logs.add_argument("-n", "--lines", type=int, default=100, help="%(default)s")
    run = add(
        "run", "a command of the service, as the user who serves: run python -m service doctor"
    )
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND …")
    add("console", "a Python with the app and a session")


def _add_data(add: Add) -> None:
    env = add("env", "the service's variables; a change is a release", changes=True)
    env.add_argument("what", choices=("list", "set", "unset"), help="set reads NAME=VALUE lines")
    env.add_argument("names", nargs="*", metavar="NAME", help="of unset")
    env.add_argument("--at", type=moment, metavar=MOMENT, help="in the release's name (now)")
    made = add("backup", "back the database up", changes=True)
    made.add_argument("--reason", default="manual", help="a part of its name (%(default)s)")
    add("backups", "the back-ups that there are", machine=True)
    restored = add("restore", "put a back-up in the place of the live database", changes=True)
    restored.add_argument("name", metavar="NAME", help="of a back-up, or latest")
    restored.add_argument("--yes", action="store_true", help="do not ask")
    tried = add(
        "restore-test", "restore a back-up into a scratch database, and compare", changes=True
    )
    tried.add_argument("name", metavar="NAME", nargs="?", default="latest")


def _add_switches(add: Add) -> None:
    closed = add("maintenance", "answer 503 to everybody", changes=True)
    closed.add_argument("what", choices=("on", "off", "status"))
    balanced = add("balance", "on the balancer: give a server requests, or none", changes=True)
    balanced.add_argument("what", choices=("in", "out", "status"))
    balanced.add_argument("server", metavar="SERVER", nargs="?")
    locked = add("lock", "let nobody release", changes=True)
    locked.add_argument("what", choices=("on", "off", "status"))
    locked.add_argument("why", nargs="*", metavar="WHY")
    held = add("hold", "let nobody else change anything until standard input ends")
    held.add_argument("why", nargs="+", metavar="WHY")
    held.add_argument("--who")


def moment(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no {MOMENT}") from None
