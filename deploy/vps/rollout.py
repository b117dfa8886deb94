"""Several servers: one after the other, each out of the balancer, and back if one fails.

What happens on a server is its own program's (deploy/vps/host); here is only who is next.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from deploy.shell import Failed, say, step, uninterrupted
from deploy.vps.failures import Lost
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

    @property
    def running(self) -> tuple[Server, ...]:
        return tuple(each for each in running(self.fleet) if each.name in self.tokens)

    def status(self, server: Server) -> Any:
        return ask(self.ssh, server, "status")

    def ask(self, server: Server, *words: str) -> Any:
        return ask(self.ssh, server, *words, *self._passes(server))

    def follow(self, server: Server, *words: str, given: str | None = None) -> None:
        prefix = f"  {server.name}: "
        follow(self.ssh, server, *words, *self._passes(server), prefix=prefix, given=given)

    def _passes(self, server: Server) -> tuple[str, ...]:
        return ("--token", self.tokens[server.name], "--who", self.who)


@contextmanager
def session(
    fleet: Fleet, ssh: Ssh, who: str, why: str, *, without_lost: bool = False
) -> Iterator[Session]:
    """All servers, locked until the end; `without_lost` leaves out those that cannot be reached,
    if others can. Raises Failed, with who has one of them."""
    lost: list[Lost] = []
    with ExitStack() as stack:
        tokens = {}
        for server in fleet.servers:
            try:
                tokens[server.name] = stack.enter_context(held(ssh, server, why))
            except Lost as failure:
                lost.append(failure)
        if lost and (not without_lost or not tokens):
            raise Failed("\n".join(map(str, lost)))
        for each in lost:
            say(f"  left out: {each}")
        yield Session(fleet, ssh, tokens, who)


def running(fleet: Fleet) -> tuple[Server, ...]:
    """The servers that run the service's code, those with web first."""
    webs = fleet.with_role("web")
    return (*webs, *(each for each in fleet.with_role("worker") if each not in webs))


def release(session: Session, commit: str, at: str, canary: float) -> None:
    """Have a commit serve everywhere. Raises Failed when it serves nowhere."""
    start, servers = time.monotonic(), session.running
    _all_are_in(session)
    step(f"prepare on {_names(servers)}")
    found = all_of(
        servers, lambda each: str(session.ask(each, "prepare", commit, "--at", at)["release"])
    )
    (name,) = set(found.values())
    try:
        _migrate(session, servers[0], name)
        _roll(
            session,
            lambda each: _take(session, each, name),
            canary=canary,
            last=lambda: _smoke(session, name),
        )
    except (Failed, KeyboardInterrupt):
        with uninterrupted():
            _quietly(servers, lambda each: session.ask(each, "discard", name))
        raise
    step("old releases")
    all_of(servers, lambda each: session.ask(each, "settle", name))
    say(f"{name} serves on {_names(servers)}, after {time.monotonic() - start:.1f} s")


def rollback(session: Session, name: str | None) -> None:
    """Have the release before serve everywhere, or one that is named."""
    start, servers = time.monotonic(), session.running
    wanted = name or _before(session, servers[0])
    _roll(session, lambda each: session.follow(each, "rollback", wanted))
    say(f"{wanted} serves on {_names(servers)}, after {time.monotonic() - start:.1f} s")


def change(session: Session, words: tuple[str, ...], given: str) -> None:
    """A change that is like a release (env set), on one server after the other."""
    _all_are_in(session)
    _roll(session, lambda each: session.follow(each, *words, given=given))


def _before(session: Session, server: Server) -> str:
    """The release that served before: the first server's word is for all. Raises Failed."""
    found = session.status(server)
    names = [each for each in found["history"] if each != found["release"]]
    if found["release"] in found["history"]:
        names = found["history"][: found["history"].index(found["release"])]
    if not names:
        raise Failed(
            f"{server.name}: there is nothing to go back to: no release is kept that served before."
            " Any commit comes back by a release of it"
        )
    return str(names[-1])


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


def _smoke(session: Session, name: str) -> None:
    """With a job, when no worker of the release before is there any more to take it."""
    for server in session.running:
        if server.has("web"):
            step(f"{server.name}: smoke test with a job")
            session.follow(server, "smoke", name)


def _roll(
    session: Session,
    do: Callable[[Server], None],
    *,
    canary: float = 0,
    last: Callable[[], None] = lambda: None,
) -> None:
    """One server after the other, and `last` when all are done. What was changed goes back if
    anything fails, the one that failed too. Raises Failed."""
    begun: dict[Server, str | None] = {}  # with the release that served there
    try:
        for server in session.running:
            begun[server] = session.status(server)["release"]
            step(server.name)
            with _out(session, server):
                do(server)
            if canary and len(begun) == 1:
                _watch(session, server, canary)
        last()
    except (Failed, KeyboardInterrupt):
        with uninterrupted():
            _go_back(session, begun)
        raise


def _go_back(session: Session, begun: dict[Server, str | None]) -> None:
    """To what served before, where it does not. It must not hide why."""
    for server, name in reversed(begun.items()):
        try:
            if name is None or session.status(server)["release"] == name:
                continue
            step(f"{server.name}: back to {name}")
            with _out(session, server):
                session.follow(server, "rollback", name)
        except Failed as failure:
            say(f"  also failed: {failure}")


@contextmanager
def _out(session: Session, server: Server) -> Iterator[None]:
    """Without requests from the balancer; it gets them again whatever comes of it, since a server
    whose release fails goes on with the one before. The only one stays in, as does one out that
    somebody took out: two colours are enough."""
    balancer = session.fleet.balancer
    if balancer is None or not server.has("web") or len(session.fleet.with_role("web")) < 2:
        yield
        return
    if server.name in session.ask(balancer, "balance", "status")["out"]:
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
        if (health := session.status(server)["health"]) != "healthy":
            raise Failed(f"{server.name}: is {health} with it")
        time.sleep(LOOK_EVERY)


def _all_are_in(session: Session) -> None:
    """Two that are out at once would be too few."""
    balancer, webs = session.fleet.balancer, session.fleet.with_role("web")
    if balancer is None:
        return
    said = session.ask(balancer, "balance", "status")["out"]
    if out := [each.name for each in webs if each.name in said]:
        raise Failed(
            f"{', '.join(out)}: out of the balancer, by hand or by a release that was killed."
            f" Bring it back (`vps balance in {out[0]}`), or take it from servers.toml (and"
            " `vps provision`)"
        )


def _quietly(servers: tuple[Server, ...], do: Callable[[Server], Any]) -> None:
    for server in servers:
        try:
            do(server)
        except Failed as failure:
            say(f"  also failed: {failure}")


def _names(servers: tuple[Server, ...]) -> str:
    return ", ".join(each.name for each in servers)
