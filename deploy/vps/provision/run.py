"""From the preflight to the last line: what is done on each server, and in which order."""

import getpass
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gevent
from pyinfra.api.config import Config
from pyinfra.api.connect import connect_all
from pyinfra.api.deploy import add_deploy
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.inventory import Inventory
from pyinfra.api.operations import run_ops
from pyinfra.api.state import State
from pyinfra.context import ctx_host, ctx_state

from deploy.shell import Failed, say
from deploy.vps.provision import before, hold, keys, parts, system
from deploy.vps.provision.addresses import resolved
from deploy.vps.provision.connection import Line, use_openssh
from deploy.vps.provision.hostkeys import told_if_new
from deploy.vps.provision.operations import Act, Note
from deploy.vps.provision.preflight import About, preflight
from deploy.vps.provision.report import Report, step
from deploy.vps.provision.secrets import Secrets, gather
from deploy.vps.servers import Fleet, Server
from deploy.vps.ssh import Ssh, control_folder


@dataclass(frozen=True)
class Task:
    """What is asked for, and of which servers of the fleet."""

    fleet: Fleet
    servers: Sequence[Server]
    ssh: Ssh
    dry_run: bool
    update: bool
    sure: bool

    def way(self, server: Server) -> Line:
        return Line(self.ssh, server)


def provision(
    fleet: Fleet,
    servers: Sequence[Server],
    ssh_config: Path | None = None,
    *,
    dry_run: bool = False,
    update: bool = False,
    sure: bool = False,
) -> int:
    """Provision these of the fleet's servers: 0 ok, 1 if one failed, 130 if interrupted. With
    `dry_run` it says what it would change; with `update` the distribution's packages are updated;
    with `sure` it does not ask.
    """
    start = time.monotonic()
    report = Report([server.name for server in servers])
    try:
        with _kept_connections(ssh_config) as ssh, report.finishing_commands():
            fleet = resolved(fleet.with_keys())
            chosen = [each for each in fleet.servers if each.name in {s.name for s in servers}]
            _provision(Task(fleet, chosen, ssh, dry_run, update, sure), report)
    except Failed as failure:
        say(f"failed: {failure}", sys.stderr)
        return 1
    except KeyboardInterrupt:
        report.stopping = True
    return _last_lines(report, servers, dry_run, time.monotonic() - start)


@contextmanager
def _kept_connections(config: Path | None) -> Iterator[Ssh]:
    """One connection to each server: an operation is a round trip then, and not ten."""
    with control_folder() as folder:
        yield Ssh(config, folder)


def _provision(task: Task, report: Report) -> None:
    """Raises Failed before anything is touched, if one of the servers is not fit."""
    found = _preflights(task, report)
    said = before.dangers(task.fleet, found, lambda each: before.has_release(task.way(each)))
    before.agree([*said], sure=task.sure or task.dry_run)
    with _alone(task):
        secrets = _secrets(task, report)
        _on_all(task, report, found, parts.apply, secrets, update=task.update)
        _on_all(task, report, found, parts.last, whole=not report.failures)
    if not task.dry_run:
        _say_keys(task, report)


@contextmanager
def _alone(task: Task) -> Iterator[None]:
    """Two at once would confirm each other's rules of the firewall. Raises Failed."""
    who = f"{getpass.getuser()}@{socket.gethostname()}"
    with ExitStack() as held:
        for server in [] if task.dry_run else task.servers:
            held.enter_context(hold.held(task.way(server), who))
        yield


def _on_all(
    task: Task,
    report: Report,
    found: dict[str, About],
    part: Callable[..., None],
    *given: Any,
    **named: Any,
) -> None:
    """Of those that have not failed. Returns when all have it."""
    servers = [each for each in task.servers if each.name not in report.failures]
    if not servers or report.stopping:
        return
    state = _state(task, servers, found)
    state.add_callback_handler(report)
    for host in state.inventory:
        server = next(each for each in servers if each.name == host.name)
        add_deploy(state, part, task.fleet, server, *given, **named, host=host)
    if task.dry_run:
        _say_what_would_change(state, report)
        return
    try:
        run_ops(state)
    except PyinfraError as error:
        if not report.failures and not report.stopping:
            raise Failed(str(error)) from None


def _say_keys(task: Task, report: Report) -> None:
    for server in task.servers:
        if server.name not in report.failures:
            for text in keys.told(task.fleet, server, task.way(server)):
                report.line(server.name, text)


def _preflights(task: Task, report: Report) -> dict[str, About]:
    """Of all servers at once. Raises Failed, with all that is wrong with all of them."""
    wrong: list[str] = []
    found: dict[str, About] = {}

    def one(server: Server) -> None:
        line, tell = task.way(server), partial(report.line, server.name)
        try:
            with told_if_new(line, tell):
                found[server.name] = preflight(line, tell)
        except Failed as failure:
            wrong.extend(f"{server.name}: {each}" for each in str(failure).splitlines())

    gevent.joinall([gevent.spawn(one, each) for each in task.servers], raise_error=True)
    if wrong:
        raise Failed("\n".join([*wrong, "nothing was touched"]))
    for name, about in found.items():
        report.line(name, f"{about.distribution} {about.version}, {about.memory // 1024} MiB")
        if said := system.no_swap(about):
            report.line(name, said)
    return found


def _secrets(task: Task, report: Report) -> Secrets:
    def made(server: str, name: str) -> None:
        would = "would make" if task.dry_run else "make"
        report.line(server, f"secrets: {would} {name}")
        report.changes[server] += 1

    return gather(task.fleet, task.way, make=not task.dry_run, made=made)


def _state(task: Task, servers: Sequence[Server], found: dict[str, About]) -> State:
    logging.getLogger("pyinfra").setLevel(logging.CRITICAL + 1)  # what is said, the report says
    hosts = [
        (
            each.name,
            {"line": task.way(each), "about": found[each.name], "_sudo": each.user != "root"},
        )
        for each in servers
    ]
    # What differs is looked for when its turn has come, and not before all the rest as well.
    state = State(Inventory((hosts, {})), Config(), check_for_changes=False)
    use_openssh(state)
    connect_all(state)
    return state


def _say_what_would_change(state: State, report: Report) -> None:
    """Each operation looks, and what it would do is said instead."""
    with ctx_state.use(state):
        for host in state.inventory:
            with ctx_host.use(host):
                for op_hash in host.op_hash_order:
                    name = step(state, op_hash, host)
                    for command in state.ops[host][op_hash].command_generator():
                        if isinstance(command, Act) and command.says:
                            report.line(host.name, f"{name}: would {command.says}")
                            report.changes[host.name] += 1
                        elif isinstance(command, Note):
                            report.line(host.name, f"{name}: {command.says}")


LAST_STEP = "certificate: "  # of all that may fail, it alone comes after everything else


def _last_lines(report: Report, servers: Sequence[Server], dry_run: bool, took: float) -> int:
    for server in servers:
        report.line(server.name, _changes(report.changes[server.name], dry_run))
    for name, why in report.failures.items():
        say(f"failed: {name}: {why}", sys.stderr)
    if report.stopping:
        say("stopped: the next `provision` goes on from here", sys.stderr)
        return 130
    if report.failures:
        say("What was done stays; the next `provision` goes on from here.", sys.stderr)
        if all(why.startswith(LAST_STEP) for why in report.failures.values()):
            say(
                "All the rest is done: `vps release` works, with a certificate of the server's own."
                " Does the domain lead here, at port 80?",
                sys.stderr,
            )
        return 1
    total = _changes(sum(report.changes.values()), dry_run)
    say(f"{total}, on {', '.join(server.name for server in servers)}, in {took:.1f} s")
    return 0


def _changes(count: int, dry_run: bool) -> str:
    if not count:
        return "nothing to change" if dry_run else "nothing changed"
    return f"{count} change{'s' if count > 1 else ''}{' to make' if dry_run else ''}"
