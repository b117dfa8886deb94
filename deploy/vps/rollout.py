"""Several servers: one after the other, each out of the balancer, and back if one fails.

What happens on a server is its own program's (deploy/vps/host); here is only who is next.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from deploy.shell import Failed, say, step, uninterrupted
from deploy.vps import balancer
from deploy.vps.failures import also_failing
from deploy.vps.host.releases import matching
from deploy.vps.servers import Server
from deploy.vps.session import Session
from deploy.vps.ssh import all_of, each

LOOK_EVERY = 2.0  # seconds, at a canary


def release(session: Session, commit: str, at: str, canary: float) -> None:
    """Have a commit serve everywhere. Raises Failed; nothing of it serves then, unless it says
    so."""
    start, servers = time.monotonic(), session.running
    balancer.bring_back(session)
    balancer.nobody_is_out(session, with_code=True)
    name = f"{at}-{commit[:12]}"
    try:
        step(f"prepare on {_names(servers)}")
        found = all_of(servers, lambda one: session.ask(one, "prepare", commit, "--at", at))
        (name,) = {str(one["release"]) for one in found.values()}
        _migrate(session, servers[0], name)
        _roll(
            session,
            lambda one: _take(session, one, name),
            canary=canary,
            last=lambda: _smoke(session, name),
        )
    except (Failed, KeyboardInterrupt):
        with uninterrupted():
            _discard(session.going_back(), name)
        raise
    _settle(session, name)
    say(f"{name} serves on {_names(servers)}, after {time.monotonic() - start:.1f} s")


def rollback(session: Session, name: str | None) -> None:
    """Have the release before serve everywhere, or one that is named. Who lacks it, as a new
    machine does, keeps nobody from going back."""
    start, found = time.monotonic(), _statuses(session)
    balancer.bring_back(session)
    kept = {one: status.get("kept", status["history"]) for one, status in found.items()}
    wanted = (matching(chain(*kept.values()), name) or name) if name else _before(found)
    able = [one for one in found if wanted in kept[one]] or list(found)
    _roll(session, lambda one: session.follow(one, "rollback", wanted), servers=able)
    say(f"{wanted} serves on {_names(able)}, after {time.monotonic() - start:.1f} s")
    for one in (one for one in found if one not in able):
        _leave(session, one, found[one]["release"], f"it does not have {wanted}")


def change(session: Session, words: tuple[str, ...], given: str) -> None:
    """A change that is like a release (env set), on one server after the other."""
    balancer.bring_back(session)
    balancer.nobody_is_out(session, with_code=False)
    _roll(session, lambda one: session.follow(one, *words, given=given))


def _statuses(session: Session) -> dict[Server, Any]:
    """Of those that answer: the rest keeps nobody from going back. Raises Failed if none does."""
    said = each(session.running, session.status)
    for one in said.values():
        if isinstance(one, Failed):
            say(f"  left out: {one}")
    found = {one: said[one.name] for one in session.running}
    found = {one: status for one, status in found.items() if not isinstance(status, Failed)}
    if not found:
        raise Failed("none of the servers answers: `vps status` says more")
    return found


def _before(found: Mapping[Server, Any]) -> str:
    """The release that served before: the word of the first server that has one is for all.
    Raises Failed."""
    for status in found.values():
        names = [name for name in status["history"] if name != status["release"]]
        if status["release"] in status["history"]:
            names = status["history"][: status["history"].index(status["release"])]
        if names:
            return str(names[-1])
    raise Failed(
        f"there is nothing to go back to: no release is kept on {_names(list(found))} that served"
        " before. Any commit comes back by a release of it"
    )


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
    servers: Sequence[Server] | None = None,
    canary: float = 0,
    last: Callable[[], None] = lambda: None,
) -> None:
    """One server after the other, all unless given, and `last` when all are done. What was changed
    goes back if anything fails, the one that failed too. Raises Failed."""
    begun: dict[Server, str | None] = {}  # with the release that served there
    try:
        for server in session.running if servers is None else servers:
            was = session.status(server)
            begun[server] = was["release"]
            step(server.name)
            with balancer.out(session, server, new=not was["history"]):
                do(server)
            if canary and len(begun) == 1:
                _watch(session, server, canary)
        last()
    except (Failed, KeyboardInterrupt):
        with uninterrupted():
            for server, name in reversed(begun.items()):
                with also_failing():
                    _go_back(session.going_back(), server, name)
        raise


def _go_back(session: Session, server: Server, name: str | None) -> None:
    """To what served before, if that does not serve now."""
    now = session.status(server)["release"]
    if now == name:
        return
    if name is None:
        _leave(session, server, now, "nothing served there before")
        return
    step(f"{server.name}: back to {name}")
    with balancer.out(session, server, new=False, back=True):
        session.follow(server, "rollback", name)


def _leave(session: Session, server: Server, serves: str | None, why: str) -> None:
    """One that cannot go back: as it is, and without requests if others are there for them."""
    left_out = balancer.leave_out(session, server)
    requests = ", and gets no requests" if left_out else ""
    say(f"  {server.name}: goes on with {serves or 'no release'}, since {why}{requests}")
    if left_out and serves:
        say("  The next release ends that")


def _watch(session: Session, server: Server, seconds: float) -> None:
    """Its health, for so long. Raises Failed as soon as it is not well."""
    say(f"  {server.name} serves it. The others follow in {seconds:.0f} s (Ctrl-C takes it back)")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if (health := session.status(server)["health"]) != "healthy":
            raise Failed(f"{server.name}: is {health} with it")
        time.sleep(LOOK_EVERY)


def _settle(session: Session, name: str) -> None:
    step("old releases")
    try:
        all_of(session.running, lambda one: session.ask(one, "settle", name))
    except Failed as failure:
        raise Failed(
            f"{failure}\n{name} serves on {_names(session.running)} all the same. The next release"
            " ends and removes the old ones"
        ) from None


def _discard(session: Session, name: str) -> None:
    for server in session.running:
        with also_failing():
            session.ask(server, "discard", name)


def _names(servers: Sequence[Server]) -> str:
    return ", ".join(one.name for one in servers)
