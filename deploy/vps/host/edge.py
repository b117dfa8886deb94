"""The flags that nginx looks for at each request: which colour serves, maintenance, and on the
balancer which servers get no requests. No reload: that would break off kept connections."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from deploy.shell import Failed
from deploy.vps.host import layout, releases, units
from deploy.vps.host.layout import COLOURS, Host, Layout

GREEN = "green"
MAINTENANCE = "maintenance"
RESTORE = "a restore"  # how who closes the site for one begins, in that flag


def colour(found: Layout) -> str:
    """The colour that serves, or that would."""
    return GREEN if (found.edge / GREEN).exists() else "blue"


def other(name: str) -> str:
    return COLOURS[1 - COLOURS.index(name)]


def serving(host: Host) -> Path | None:
    """The release that serves; on a server without web, the one that works. None before the
    first, which may have been broken off."""
    found = host.layout
    if not host.server.has("web"):
        return layout.target(found.workers)
    now = colour(found)
    release = layout.target(found.colour(now))
    if release is None or release.name in releases.history(found):
        return release
    return release if units.runs(host, units.web(now)) else None


def since(host: Host) -> float:
    """When what serves came to do so, in seconds of the epoch: a rollback counts too."""
    found = host.layout
    link = found.colour(colour(found)) if host.server.has("web") else found.workers
    return link.lstat().st_mtime


def idle(host: Host) -> str:
    """The colour that the next release goes to: the first goes to the one that would serve."""
    now = colour(host.layout)
    return other(now) if serving(host) else now


def switch(found: Layout, name: str) -> None:
    """From the next request on this colour serves."""
    put(found, GREEN, wanted=name == GREEN)


def put(found: Layout, flag: str, *, wanted: bool) -> None:
    path = found.edge / flag
    if wanted:
        path.touch(0o644)
    else:
        path.unlink(missing_ok=True)
    layout.sync(found.edge)


def close(found: Layout, by: str) -> None:
    """Answer 503 to everybody, and write down who wants that."""
    try:
        layout.write(found.edge / MAINTENANCE, f"{by}\n")
    except OSError:  # a full disk may be what it is for
        put(found, MAINTENANCE, wanted=True)


def reopen(found: Layout) -> None:
    put(found, MAINTENANCE, wanted=False)


def closed_by(found: Layout) -> str | None:
    """Who has closed the site, as far as that is known; None if it is open."""
    try:
        return (found.edge / MAINTENANCE).read_text().strip()
    except FileNotFoundError:
        return None


def balance(host: Host, server: str, *, wanted: bool, by: Mapping[str, Any]) -> None:
    """Give a server requests, or none, which is `by` somebody. Raises Failed where there is no
    balancer."""
    if not host.server.has("balancer"):
        raise Failed(f"{host.server.server} is no balancer: `slipway balance` is for that")
    if server not in host.server.web_servers:
        there = ", ".join(host.server.web_servers)
        raise Failed(f"the balancer has no server {server!r}; it has {there}")
    rest = set(host.server.web_servers) - set(out(host.layout)) - {server}
    if not wanted and not rest:
        raise Failed(
            f"{server} is the last one that gets requests: `vps maintenance on` says no to all"
        )
    flag = host.layout.edge / f"out-{server}"
    if not wanted and not (flag.exists() and by["release"]):  # whom a person took out stays theirs
        with suppress(OSError):  # an empty flag does, and needs no room on the disk
            layout.write(flag, json.dumps(by) + "\n")
    put(host.layout, flag.name, wanted=not wanted)


def out(found: Layout) -> list[str]:
    """The servers that get no requests."""
    return sorted(out_by(found))


def out_by(found: Layout) -> dict[str, dict[str, Any]]:
    """The same, with whose doing that is: nothing, where nobody has written it down."""
    flags = found.edge.glob("out-*")
    return {each.name.removeprefix("out-"): _by(each) for each in flags}


def _by(flag: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(flag.read_text())
        return found if isinstance(found, dict) else {}
    return {}
