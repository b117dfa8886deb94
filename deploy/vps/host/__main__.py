"""`python -m deploy.vps.host VERB`: parses, calls, prints; decides nothing."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.shell import Failed
from deploy.vps.host import (
    audit,
    checks,
    data,
    gate,
    layout,
    measure,
    processes,
    progress,
    release,
    releases,
    rollback,
    status,
    surroundings,
    switches,
    turn,
    workers,
)
from deploy.vps.host.change import change
from deploy.vps.host.cli import parser
from deploy.vps.host.layout import Host, Layout

Verb = Callable[[Host, argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None, found: Layout | None = None) -> int:
    """Run a verb: 0 ok, 1 failed, 2 usage, 130 interrupted."""
    os.umask(0o022)
    said = parser().parse_args(arguments)
    progress.speak_json(getattr(said, "json", False))
    try:
        host = Host(layout.read_server((found or Layout()).settings), found or Layout())
        VERBS[said.verb](host, said)
    except Failed as failure:
        progress.failed(str(failure))
        return 1
    except OSError as error:
        progress.failed(layout.words(error))
        return 1
    except KeyboardInterrupt:
        progress.interrupted()
        return 130
    return 0


def _release(host: Host, said: argparse.Namespace) -> None:
    folder = releases.find(host.layout, said.name)
    who = change(host, said, f"release {said.name}")
    release.release(host, folder, who)


def _prepare(host: Host, said: argparse.Namespace) -> None:
    who = change(host, said, f"prepare {said.name}")
    release.prepare_alone(host, releases.find(host.layout, said.name), who)


def _migrate(host: Host, said: argparse.Namespace) -> None:
    folder = releases.find(host.layout, said.name)
    who = change(host, said, f"migrate {said.name}")
    if said.pending:
        found = release.pending(host, folder)
        progress.tell({"result": "ok", "pending": found}, "\n".join(found) or "nothing is pending")
        return
    with release.told(host, folder, who, "migrate"):
        release.migrate(host, folder, saved=said.no_backup)


def _part(part: Callable[[Host, Path], object]) -> Verb:
    """A step of a release, by itself."""

    def verb(host: Host, said: argparse.Namespace) -> None:
        folder = releases.find(host.layout, said.name)
        who = change(host, said, f"{said.verb} {said.name}")
        with release.told(host, folder, who, said.verb):
            part(host, folder)

    return verb


def _discard(host: Host, said: argparse.Namespace) -> None:
    who = change(host, said, f"discard {said.name}")
    if (host.layout.releases / said.name).exists():
        folder = releases.find(host.layout, said.name)
        with audit.logged(host.layout, who, "discard", said.name):
            release.discard(host, folder, keep=False)
    progress.tell({"result": "ok", "release": said.name}, f"{said.name} is gone")


def _rollback(host: Host, said: argparse.Namespace) -> None:
    rollback.rollback(host, said.name, change(host, said, "rollback"))


def _ssh(host: Host, _: argparse.Namespace) -> None:
    _execute(gate.allowed(surroundings.asked(), host.layout))


def _status(host: Host, _: argparse.Namespace) -> None:
    found = status.status(host)
    progress.tell(found, "\n".join(status.lines(found)))


def _logs(_: Host, said: argparse.Namespace) -> None:
    *first, last = processes.logs(said.unit, follow=said.follow, lines=said.lines)
    for command in first:
        subprocess.run(command)  # noqa: S603
    _execute(last)


def _run(host: Host, said: argparse.Namespace) -> None:
    words = said.words[1:] if said.words[:1] == ["--"] else said.words
    if not words:
        raise Failed("a command is needed: slipway run python -m service doctor")
    _execute(processes.command(release.needed(host), words))


def _console(host: Host, _: argparse.Namespace) -> None:
    _execute(processes.console(release.needed(host)))


def _execute(command: list[str]) -> None:
    os.execvp(command[0], command)  # noqa: S606


VERBS: dict[str, Verb] = {
    "release": _release,
    "prepare": _prepare,
    "migrate": _migrate,
    "turn": _part(turn.turn),
    "workers": _part(workers.replace),
    "smoke": _part(checks.smoke_job),
    "settle": _part(release.settle),
    "discard": _discard,
    "rollback": _rollback,
    "ssh": _ssh,
    "status": _status,
    "measure": lambda host, _: measure.measure(host),
    "logs": _logs,
    "run": _run,
    "console": _console,
    "env": data.change_variables,
    "backup": data.back_up,
    "backups": data.list_backups,
    "restore": data.replace_database,
    "restore-test": data.try_backup,
    "maintenance": switches.maintain,
    "balance": switches.balance_requests,
    "lock": switches.lock_releases,
    "hold": switches.hold_server,
}


if __name__ == "__main__":
    sys.exit(main())
