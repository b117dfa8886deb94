"""Which servers get requests from the balancer while something is done with one of them.

A new server gets none, since provisioning, until its first release serves there.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from deploy.shell import Failed, step, uninterrupted
from deploy.vps.failures import also_failing
from deploy.vps.servers import Server
from deploy.vps.session import Session


@contextmanager
def out(session: Session, server: Server, *, new: bool, back: bool = False) -> Iterator[None]:
    """Without requests; it gets them again whatever comes of it, since a server whose release fails
    goes on with the one before: `new` is one that has none. Who is out already stays so, unless
    that was for want of a release, or a release that was killed has left it so, and this is not the
    way `back`. Who is the last that answers stays in: two colours are enough."""
    if session.balancer is None or not server.has("web"):
        yield
        return
    said = _said(session)
    if server.name in said:
        yield
        comes_in = new or (_by_a_release(said[server.name]) and not back)
        if comes_in and session.status(server)["release"]:
            _give(session, server, "in")
        return
    if not _another_answers(session, server, said):
        yield
        return
    try:
        _give(session, server, "out")
        yield
    except BaseException:  # the answer to `out` may be lost, too
        with uninterrupted(), also_failing():
            if not new:
                _give(session.going_back(), server, "in")
        raise
    with uninterrupted():
        _give(session.going_back(), server, "in")


def leave_out(session: Session, server: Server) -> bool:
    """No requests for a server that does not go back, if another one answers: whether that is
    so."""
    if session.balancer is None or not server.has("web"):
        return False
    said = _said(session)
    if server.name not in said:
        if not _another_answers(session, server, said):
            return False
        _give(session, server, "out")
    return True


def bring_back(session: Session) -> None:
    """Whom a release that was killed has left out, if it is well and serves what others do. It was
    killed: all locks are ours. The rest comes in when its turn has come."""
    if session.balancer is None:
        return
    said = _said(session)
    for server in _webs(session):
        about = said.get(server.name, {})
        if not _by_a_release(about) or not (found := _well(session, server)):
            continue
        if _fits(session, found, said):
            step(f"{server.name}: gets requests again, without which {_whose(about)} left it")
            _give(session, server, "in")


def nobody_is_out(session: Session, *, with_code: bool) -> None:
    """Two that are out at once would be too few. New ones do not count, nor whom a killed release
    has left out, if it is to serve what the others do when its turn has come: `with_code` sees to
    that, and without it must be so already. Raises Failed."""
    if session.balancer is None:
        return
    said = _said(session)
    for server in _webs(session):
        if server.name not in said or not (found := session.status(server))["history"]:
            continue
        about = said[server.name]
        if not _by_a_release(about):
            raise Failed(
                f"{server.name}: out of the balancer, {_whose(about)}. Bring it back"
                f" (`vps balance in {server.name}`), or take it from servers.toml (and"
                " `vps provision`)"
            )
        if not with_code and not _fits(session, found, said, "commit"):
            raise Failed(
                f"{server.name}: out of the balancer since {_whose(about)}, and serves another"
                " commit than the others: `vps release` brings it in"
            )


def _webs(session: Session) -> list[Server]:
    return [each for each in session.running if each.has("web")]


def _fits(session: Session, found: Any, said: Mapping[str, Any], what: str = "release") -> bool:
    """A server, by its status, serves what one of those does that get requests and answer; or
    there is none."""
    rest = [_well(session, each) for each in _webs(session) if each.name not in said]
    serve = [each[what] for each in rest if each]
    return serve == [] or found[what] in serve


def _said(session: Session) -> Mapping[str, Mapping[str, Any]]:
    """Who gets no requests, and whose doing that is, as far as the program there says so."""
    assert session.balancer is not None
    found = session.ask(session.balancer, "balance", "status")
    return {name: found.get("by", {}).get(name, {}) for name in found["out"]}


def _by_a_release(about: Mapping[str, Any]) -> bool:
    return about.get("release") is True


def _whose(about: Mapping[str, Any]) -> str:
    if not about:
        return "by hand or by a release that was killed"
    return f"{about['why']} by {about['who']} at {about['since']}"


def _give(session: Session, server: Server, what: str) -> None:
    assert session.balancer is not None
    session.ask(session.balancer, "balance", what, server.name)


def _another_answers(session: Session, server: Server, said: Mapping[str, Any]) -> bool:
    """Of those that get requests. The balancer counts those in servers.toml, and knows nothing of
    one that is down."""
    return any(
        _well(session, each) for each in _webs(session) if each != server and each.name not in said
    )


def _well(session: Session, server: Server) -> Any:
    """Its status, if it answers requests; else None."""
    try:
        found = session.status(server)
    except Failed:
        return None
    return found if found["health"] in ("healthy", "degraded") else None
