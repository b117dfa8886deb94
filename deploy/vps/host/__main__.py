"""`python -m deploy.vps.host VERB`: parses, calls, prints; decides nothing."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from deploy.shell import Failed, finish_commands, say
from deploy.vps.host import (
    audit,
    backups,
    edge,
    envfile,
    gate,
    layout,
    lock,
    processes,
    progress,
    release,
    releases,
    restore,
    rollback,
    status,
    surroundings,
    turn,
    variables,
    workers,
)
from deploy.vps.host.cli import parser
from deploy.vps.host.layout import Host, Layout

Verb = Callable[[Host, argparse.Namespace], None]
FREE_WHILE_LOCKED = (
    "backup",
    "restore-test",
    "maintenance",
    "balance",
    "lock",
    "discard",
    "settle",
)


def main(arguments: Sequence[str] | None = None, found: Layout | None = None) -> int:
    """Run a verb: 0 ok, 1 failed, 2 usage, 130 interrupted."""
    os.umask(0o022)
    said = parser().parse_args(arguments)
    as_json = getattr(said, "json", False)
    progress.speak_json(as_json)
    try:
        host = Host(layout.read_server((found or Layout()).settings), found or Layout())
        VERBS[said.verb](host, said)
    except Failed as failure:
        say(f"failed: {failure}", sys.stderr)
        if as_json:
            progress.tell({"result": "failed", "why": str(failure)}, "")
        return 1
    except KeyboardInterrupt:
        say("stopped, as was asked for", sys.stderr)
        return 130
    return 0


def _change(host: Host, said: argparse.Namespace, what: str) -> str:
    """Be the only one who changes something; who it is. Raises Failed."""
    who = surroundings.who(said.who)
    finish_commands()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    if said.verb not in FREE_WHILE_LOCKED:
        lock.check_lock(host.layout)
    lock.take(host.layout, who, what, said.token)
    if said.attended:
        threading.Thread(target=_attend, daemon=True).start()
    return who


def _attend() -> None:
    """Whoever called us is gone when standard input ends."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGINT)


def _release(host: Host, said: argparse.Namespace) -> None:
    folder = releases.find(host.layout, said.name)
    who = _change(host, said, f"release {said.name}")
    release.release(host, folder, who)


def _prepare(host: Host, said: argparse.Namespace) -> None:
    who = _change(host, said, f"prepare {said.name}")
    release.prepare_alone(host, releases.find(host.layout, said.name), who)


def _migrate(host: Host, said: argparse.Namespace) -> None:
    folder = releases.find(host.layout, said.name)
    who = _change(host, said, f"migrate {said.name}")
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
        who = _change(host, said, f"{said.verb} {said.name}")
        with release.told(host, folder, who, said.verb):
            part(host, folder)

    return verb


def _discard(host: Host, said: argparse.Namespace) -> None:
    if not (host.layout.releases / said.name).exists():
        return
    who = _change(host, said, f"discard {said.name}")
    folder = releases.find(host.layout, said.name)
    with audit.logged(host.layout, who, "discard", said.name):
        release.discard(host, folder, keep=False)
    progress.tell({"result": "ok", "release": said.name}, f"{said.name} is gone")


def _rollback(host: Host, said: argparse.Namespace) -> None:
    rollback.rollback(host, said.name, _change(host, said, "rollback"))


def _ssh(host: Host, _: argparse.Namespace) -> None:
    _execute(gate.allowed(surroundings.asked(), host.layout))


def _status(host: Host, _: argparse.Namespace) -> None:
    found = status.status(host)
    progress.tell(found, "\n".join(status.lines(found)))


def _logs(_: Host, said: argparse.Namespace) -> None:
    _execute(processes.logs(said.unit, follow=said.follow, lines=said.lines))


def _run(host: Host, said: argparse.Namespace) -> None:
    words = said.words[1:] if said.words[:1] == ["--"] else said.words
    if not words:
        raise Failed("a command is needed: slipway run python -m service doctor")
    _execute(processes.command(release.needed(host), words))


def _console(host: Host, _: argparse.Namespace) -> None:
    _execute(processes.console(release.needed(host)))


def _execute(command: list[str]) -> None:
    os.execvp(command[0], command)  # noqa: S606


def _env(host: Host, said: argparse.Namespace) -> None:
    if said.what == "list":
        found = variables.listed(host)
        progress.tell(dict(found), "\n".join(f"{name}={value}" for name, value in found))
        return
    if bool(said.names) != (said.what == "unset"):
        raise Failed(
            "unset takes names; set takes none: NAME=VALUE lines are read from standard input"
        )
    given = envfile.pairs(sys.stdin.read()) if said.what == "set" else {}
    who = _change(host, said, f"env {said.what}")
    variables.change(host, given, tuple(said.names), who, said.at)


def _backup(host: Host, said: argparse.Namespace) -> None:
    who = _change(host, said, "backup")
    with audit.logged(host.layout, who, f"backup {said.reason}"):
        line = backups.make(host, None, said.reason)
        removed = backups.prune(host)
        backups.copy(host)
    about = {"result": "ok", "backup": line.split()[0], "removed": removed}
    progress.tell(about, line)


def _backups(host: Host, _: argparse.Namespace) -> None:
    found = backups.every(host.layout)
    as_data = [{"name": each.name, **asdict(each.about)} for each in found]
    progress.tell({"backups": as_data}, "\n".join(each.line() for each in found) or "none yet")


def _restore(host: Host, said: argparse.Namespace) -> None:
    backup = backups.find(host.layout, said.name)
    if not said.yes:
        if not sys.stdin.isatty():
            raise Failed(f"the live database is to be replaced by {backup.name}: --yes says yes")
        if input(f"Replace the live database by {backup.line()}? (yes) ").strip() != "yes":
            raise Failed("nothing was touched")
    who = _change(host, said, f"restore {backup.name}")
    with audit.logged(host.layout, who, f"restore {backup.name}"):
        done = restore.restore(host, backup.name)
    progress.tell({"result": "ok", "backup": backup.name}, done)


def _restore_test(host: Host, said: argparse.Namespace) -> None:
    who = _change(host, said, f"restore-test {said.name}")
    with audit.logged(host.layout, who, f"restore-test {said.name}"):
        done = restore.test(host, said.name)
    progress.tell({"result": "ok", "says": done}, done)


def _maintenance(host: Host, said: argparse.Namespace) -> None:
    if said.what != "status":
        who = _change(host, said, f"maintenance {said.what}")
        with audit.logged(host.layout, who, f"maintenance {said.what}"):
            edge.put(host.layout, edge.MAINTENANCE, wanted=said.what == "on")
    on = edge.maintenance(host.layout)
    progress.tell({"result": "ok", "maintenance": on}, f"maintenance is {'on' if on else 'off'}")


def _balance(host: Host, said: argparse.Namespace) -> None:
    if said.what != "status":
        who = _change(host, said, f"balance {said.what} {said.server}")
        with audit.logged(host.layout, who, f"balance {said.what} {said.server}"):
            edge.balance(host, said.server or "", wanted=said.what == "in")
    out = edge.out(host.layout)
    progress.tell({"result": "ok", "out": out}, f"get no requests: {', '.join(out) or 'none'}")


def _lock(host: Host, said: argparse.Namespace) -> None:
    if said.what == "on":
        if not said.why:
            raise Failed("say why: slipway lock on the database is being moved")
        why = " ".join(said.why)
        lock.lock_on(host.layout, _change(host, said, "lock on"), why)
    elif said.what == "off":
        _change(host, said, "lock off")
        lock.lock_off(host.layout)
    found = lock.locked(host.layout)
    progress.tell(
        {"result": "ok", "locked": found}, status.locked(found) or "releases are not locked"
    )


def _hold(host: Host, said: argparse.Namespace) -> None:
    lock.hold_until_stdin_ends(host.layout, surroundings.who(said.who), " ".join(said.why))


VERBS: dict[str, Verb] = {
    "release": _release,
    "prepare": _prepare,
    "migrate": _migrate,
    "turn": _part(turn.turn),
    "workers": _part(workers.replace),
    "settle": _part(release.settle),
    "discard": _discard,
    "rollback": _rollback,
    "ssh": _ssh,
    "status": _status,
    "logs": _logs,
    "run": _run,
    "console": _console,
    "env": _env,
    "backup": _backup,
    "backups": _backups,
    "restore": _restore,
    "restore-test": _restore_test,
    "maintenance": _maintenance,
    "balance": _balance,
    "lock": _lock,
    "hold": _hold,
}


if __name__ == "__main__":
    sys.exit(main())
