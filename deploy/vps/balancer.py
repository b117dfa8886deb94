"""Which servers get requests from the balancer while something is done with one of them.

A new server gets none, since provisioning, until its first release serves there.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from deploy.shell import Failed, uninterrupted
from deploy.vps.failures import also_failing
from deploy.vps.servers import Server
from deploy.vps.session import Session


@contextmanager
def out(session: Session, server: Server, *, new: bool) -> Iterator[None]:
    """Without requests; it gets them again whatever comes of it, since a server whose release fails
    goes on with the one before: `new` is one that has none. Who is out already stays so, unless
    that was for want of a release. Who is the last that answers stays in: two colours are
    enough."""
    if session.balancer is None or not server.has("web"):
        yield
        return
    said = _said(session)
    if server.name in said:
        yield
        if new and session.status(server)["release"]:
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


def all_are_in(session: Session) -> None:
    """Two that are out at once would be too few; new ones do not count. Raises Failed."""
    if session.balancer is None:
        return
    said = _said(session)
    out = [each for each in session.fleet.with_role("web") if each.name in said]
    if names := [each.name for each in out if session.status(each)["history"]]:
        raise Failed(
            f"{', '.join(names)}: out of the balancer, by hand or by a release that was killed."
            f" Bring it back (`vps balance in {names[0]}`), or take it from servers.toml (and"
            " `vps provision`)"
        )


def _said(session: Session) -> Collection[str]:
    """Who gets no requests."""
    assert session.balancer is not None
    found: list[str] = session.ask(session.balancer, "balance", "status")["out"]
    return found


def _give(session: Session, server: Server, what: str) -> None:
    assert session.balancer is not None
    session.ask(session.balancer, "balance", what, server.name)


def _another_answers(session: Session, server: Server, said: Collection[str]) -> bool:
    """Of those that get requests. The balancer counts those in servers.toml, and knows nothing of
    one that is down."""
    return any(
        _answers(session, each)
        for each in session.running
        if each.has("web") and each != server and each.name not in said
    )


def _answers(session: Session, server: Server) -> bool:
    try:
        return session.status(server)["health"] in ("healthy", "degraded")
    except Failed:
        return False
