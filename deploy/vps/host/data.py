"""The verbs about what the service has: its variables, its database."""

import argparse
import sys
from dataclasses import asdict

from deploy.shell import Failed
from deploy.vps.host import audit, backups, envfile, progress, restore, variables
from deploy.vps.host.change import begin, change
from deploy.vps.host.layout import Host


def change_variables(host: Host, said: argparse.Namespace) -> None:
    if said.what == "list":
        found = variables.listed(host)
        progress.tell(dict(found), "\n".join(f"{name}={value}" for name, value in found))
        return
    if bool(said.names) != (said.what == "unset"):
        raise Failed(
            "unset takes names; set takes none: NAME=VALUE lines are read from standard input"
        )
    given = envfile.pairs(sys.stdin.read()) if said.what == "set" else {}
    who = change(host, said, f"env {said.what}")
    variables.change(host, given, tuple(said.names), who, said.at)


def back_up(host: Host, said: argparse.Namespace) -> None:
    # Not with the lock of releases: a nightly one shall not fail because of one, nor hold it up.
    who = begin(said)
    with audit.logged(host.layout, who, f"backup {said.reason}"):
        with backups.alone(host):
            line, removed = backups.renew(host, None, said.reason)
        backups.copy(host)
    about = {"result": "ok", "backup": line.split()[0], "removed": removed}
    progress.tell(about, line)


def list_backups(host: Host, _: argparse.Namespace) -> None:
    found = backups.every(host.layout)
    as_data = [{"name": each.name, "line": each.line(), **asdict(each.about)} for each in found]
    newest = backups.latest(found)
    about = {"backups": as_data, "latest": newest.name if newest else None}
    lines = [each.line() for each in found] or ["none yet"]
    progress.tell(about, "\n".join([*lines, *backups.not_described(host.layout, found)]))


def replace_database(host: Host, said: argparse.Namespace) -> None:
    backup = backups.find(host.layout, said.name)
    if not said.yes:
        if not sys.stdin.isatty():
            raise Failed(f"the live database is to be replaced by {backup.name}: --yes says yes")
        if input(f"Replace the live database by {backup.line()}? (yes) ").strip() != "yes":
            raise Failed("nothing was touched")
    who = change(host, said, f"restore {backup.name}")
    with audit.logged(host.layout, who, f"restore {backup.name}"):
        done = restore.restore(host, backup.name)
    about = {"result": "ok", "backup": backup.name, "revision": backup.about.revision}
    progress.tell(about, done)


def try_backup(host: Host, said: argparse.Namespace) -> None:
    # Not with the lock of releases: it may take hours, in which somebody wants to go back.
    who, what = begin(said), f"restore-test {said.name}"
    with audit.logged(host.layout, who, what), backups.alone(host, host.layout.trying):
        done = restore.test(host, said.name)
    progress.tell({"result": "ok", "says": done}, done)
