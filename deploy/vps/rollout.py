"""Several servers: one after the other, each out of the balancer, and back if one fails.

What happens on a server is its own program's (deploy/vps/host); here is only who is next.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from deploy.shell import Failed, say, step, uninterrupted
from deploy.vps.servers import Fleet, Server
from deploy.vps.ssh import Ssh, all_of, ask, follow, held

LOOK_EVERY = 2.0  # seconds, at a canary


@dataclass(frozen=True)
class Session:
    """The servers, their locks in our hands."""

    fleet: Fleet
    ssh: Ssh
    tokens: dict[str, str]
    who: str

    def ask(self, server: Server, *words: str) -> Any:
        return ask(self.ssh, server, *words, *self._passes(server))

    def follow(self, server: Server, *words: str, given: str | None = None) -> None:
        prefix = f"  {server.name}: "
        follow(self.ssh, server, *words, *self._passes(server), prefix=prefix, given=given)

    def _passes(self, server: Server) -> tuple[str, ...]:
        return ("--token", self.tokens[server.name], "--who", self.who)


@contextmanager
def session(fleet: Fleet, ssh: Ssh, who: str, why: str) -> Iterator[Session]:
    """All servers, locked until the end. Raises Failed, with who has one of them."""
    with ExitStack() as stack:
        tokens = {s.name: stack.enter_context(held(ssh, s, why)) for s in fleet.servers}
        yield Session(fleet, ssh, tokens, who)


def running(fleet: Fleet) -> tuple[Server, ...]:
    """The servers that run the service's code, those with web first."""
    webs = fleet.with_role("web")
    return (*webs, *(each for each in fleet.with_role("worker") if each not in webs))


def release(session: Session, commit: str, at: str, canary: float) -> None:
    """Have a commit serve everywhere. Raises Failed when it serves nowhere."""
    start = time.monotonic()
    servers = running(session.fleet)
    _all_are_in(session)
    step(f"prepare on {_names(servers)}")
    found = all_of(
        servers, lambda each: str(session.ask(each, "prepare", commit, "--at", at)["release"])
    )
    (name,) = set(found.values())
    try:
        _migrate(session, servers[0], name)
        _roll(session, servers, lambda each: _take(session, each, name), canary)
    except (Failed, KeyboardInterrupt):
        with uninterrupted():
            _quietly(servers, lambda each: session.ask(each, "discard", name))
        raise
    step("old releases")
    all_of(servers, lambda each: session.ask(each, "settle", name))
    say(f"{name} serves on {_names(servers)}, after {time.monotonic() - start:.1f} s")


def rollback(session: Session, name: str | None) -> None:
    """Have the release before serve everywhere, or one that is named."""
    start = time.monotonic()
    words = ("rollback", name) if name else ("rollback",)
    servers = running(session.fleet)
    for server in servers:
        with _out(session, server):
            session.follow(server, *words)
    say(f"rolled back on {_names(servers)}, after {time.monotonic() - start:.1f} s")


def change(session: Session, words: tuple[str, ...], given: str) -> None:
    """A change that is like a release (env set), on one server after the other."""
    servers = running(session.fleet)
    _all_are_in(session)
    _roll(session, servers, lambda each: session.follow(each, *words, given=given), canary=0)


def _migrate(session: Session, server: Server, name: str) -> None:
    """Once, from one server; what is there is saved where the database is."""
    pending = session.ask(server, "migrate", name, "--pending")["pending"]
    if not pending:
        return
    step(f"migrate: {', '.join(pending)}")
    words = ["migrate", name]
    if database := session.fleet.database:
        session.follow(database, "backup", "--reason", "migrate")
        words.append("--no-backup")
    session.follow(server, *words)


def _take(session: Session, server: Server, name: str) -> None:
    if server.has("web"):
        session.follow(server, "turn", name)
    if server.has("worker"):
        session.follow(server, "workers", name)
    if server.has("web"):
        session.follow(server, "smoke", name)


def _roll(
    session: Session,
    servers: tuple[Server, ...],
    do: Callable[[Server], None],
    canary: float,
) -> None:
    """One after the other; what was changed goes back if one fails. Raises Failed."""
    changed: list[Server] = []
    try:
        for server in servers:
            step(server.name)
            with _out(session, server):
                do(server)
            changed.append(server)
            if canary and len(changed) == 1:
                _watch(session, server, canary)
    except (Failed, KeyboardInterrupt):
        with uninterrupted():
            for server in reversed(changed):
                step(f"{server.name}: back")
                _back(session, server)
        raise


def _back(session: Session, server: Server) -> None:
    """It must not hide why."""
    try:
        with _out(session, server):
            session.follow(server, "rollback")
    except Failed as failure:
        say(f"  also failed: {failure}")


@contextmanager
def _out(session: Session, server: Server) -> Iterator[None]:
    """Without requests from the balancer; it gets them again whatever comes of it, since a server
    whose release fails goes on with the one before."""
    balancer = session.fleet.balancer
    if balancer is None or not server.has("web"):
        yield
        return
    session.ask(balancer, "balance", "out", server.name)
    try:
        yield
    finally:
        with uninterrupted():
            session.ask(balancer, "balance", "in", server.name)


def _watch(session: Session, server: Server, seconds: float) -> None:
    """Its health, for so long. Raises Failed as soon as it is not well."""
    say(f"  {server.name} serves it. The others follow in {seconds:.0f} s (Ctrl-C takes it back)")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        health = session.ask(server, "status").get("health")
        if health != "healthy":
            raise Failed(f"{server.name}: is {health} with it")
        time.sleep(LOOK_EVERY)


def _all_are_in(session: Session) -> None:
    """Two that are out at once would be too few."""
    balancer = session.fleet.balancer
    if balancer and (out := session.ask(balancer, "balance", "status")["out"]):
        raise Failed(
            f"{', '.join(out)}: out of the balancer. Bring it back (`vps balance in {out[0]}`) or"
            " take it from servers.toml (and `vps provision`)"
        )


def _quietly(servers: tuple[Server, ...], do: Callable[[Server], Any]) -> None:
    for server in servers:
        try:
            do(server)
        except Failed as failure:
            say(f"  also failed: {failure}")


def _names(servers: tuple[Server, ...]) -> str:
    return ", ".join(each.name for each in servers)
