"""The verbs that turn something on and off: maintenance, a server's requests, releases."""

import argparse

from deploy.shell import Failed
from deploy.vps.host import audit, edge, lock, progress, status, surroundings
from deploy.vps.host.change import change
from deploy.vps.host.layout import Host


def maintain(host: Host, said: argparse.Namespace) -> None:
    if said.what != "status":
        who = change(host, said, f"maintenance {said.what}")
        with audit.logged(host.layout, who, f"maintenance {said.what}"):
            if said.what == "on":
                edge.close(host.layout, who)
            else:
                edge.reopen(host.layout)
    by = edge.closed_by(host.layout)
    about = {"result": "ok", "maintenance": by is not None, "by": by}
    progress.tell(about, f"maintenance is {status.maintenance(by) or 'off'}")


def balance_requests(host: Host, said: argparse.Namespace) -> None:
    if said.what != "status":
        who = change(host, said, f"balance {said.what} {said.server}")
        with audit.logged(host.layout, who, f"balance {said.what} {said.server}"):
            by = {"who": who, "since": lock.now(), **_part_of(host, said.token)}
            edge.balance(host, said.server or "", wanted=said.what == "in", by=by)
    out, by_whom = edge.out(host.layout), edge.out_by(host.layout)
    told = {"result": "ok", "out": out, "by": by_whom}
    progress.tell(told, f"get no requests: {', '.join(out) or 'none'}")


def _part_of(host: Host, token: str | None) -> dict[str, object]:
    """Who has a token holds all servers, and says what for; without one it is a person."""
    if token is None:
        return {"release": False, "why": "taken out"}
    return {"release": True, "why": lock.held_for(host.layout)}


def lock_releases(host: Host, said: argparse.Namespace) -> None:
    why = " ".join(said.why)
    if said.what == "on":
        if not why:
            raise Failed("say why: slipway lock on the database is being moved")
        who = change(host, said, "lock on")
        with audit.logged(host.layout, who, f"lock on: {why}"):
            lock.lock_on(host.layout, who, why)
    elif said.what == "off":
        who = change(host, said, "lock off")
        with audit.logged(host.layout, who, "lock off"):
            lock.lock_off(host.layout)
    found = lock.locked(host.layout)
    progress.tell(
        {"result": "ok", "locked": found}, status.locked(found) or "releases are not locked"
    )


def hold_server(host: Host, said: argparse.Namespace) -> None:
    lock.hold_until_stdin_ends(host.layout, surroundings.who(said.who), " ".join(said.why))
