"""From the colour that serves to one with another release, and back if that does not do."""

import time
from dataclasses import dataclass
from pathlib import Path

from deploy.shell import Failed, uninterrupted
from deploy.vps.host import checks, edge, layout, progress, units
from deploy.vps.host.layout import Host

# Seconds from the switch until the other colour may be stopped. A request whose body was still
# being read when nginx chose is sent to the colour that served then.
PROMISED = 1.5


@dataclass(frozen=True)
class Turned:
    """What a switch has changed, to change it back."""

    colour: str
    before: str  # the colour that served
    variables: Path | None  # that the release before has


def turn(host: Host, release: Path, *, quick: bool = False) -> Turned | None:
    """Have a release serve; None if it does already. The colour that served still runs then, until
    `drain`. Raises Failed: the old one serves then. `quick` leaves out what takes a second, for a
    release that has served before."""
    found, now = host.layout, edge.colour(host.layout)
    if edge.serving(host) == release and units.runs_since(host, units.web(now), found.colour(now)):
        progress.detail(f"{release.name} serves already, as {now}")
        return None
    colour = edge.idle(host)
    turned = Turned(colour, now, found.env_current.resolve())
    try:
        start(host, colour, release)
        if not quick:
            progress.step(f"smoke test of {colour}")
            checks.smoke_web(host, colour, release)
        with uninterrupted():  # a switch and what belongs to it are one thing
            progress.step(f"switch to {colour}")
            edge.switch(found, colour)
            keep_variables(host, release)
        progress.step("smoke test through nginx")
        checks.smoke_edge(host, release)
    except (Failed, KeyboardInterrupt):
        with uninterrupted():
            back(host, turned)
        raise
    return turned


def start(host: Host, colour: str, release: Path) -> None:
    """Until it is ready. One that was broken off may have left the colour running, of this release
    or of another."""
    link = host.layout.colour(colour)
    if layout.target(link) == release and units.runs_since(host, units.web(colour), link):
        progress.step(f"{colour} still runs")
    else:
        progress.step(f"start {colour}")
        assign(host, colour, release)
        units.start(host, colour)
    checks.ready(host, colour, release)


def assign(host: Host, colour: str, release: Path) -> None:
    """Stop an idle colour, and have it run this release when it is started."""
    link = host.layout.colour(colour)
    link.parent.mkdir(exist_ok=True)
    if not units.rests(host, colour):  # to ask costs a tenth of what sudo does
        host.runner.run(units.as_root("stop", colour))
    layout.link(link, release)


def back(host: Host, turned: Turned) -> None:
    """Have the colour serve that did before, which still runs; and stop the other."""
    found = host.layout
    if turned.before != turned.colour and edge.colour(found) == turned.colour:
        progress.step(f"switch back to {turned.before}")
        edge.switch(found, turned.before)
        if turned.variables is not None:
            layout.link(found.env_current, turned.variables.name)
        _wait_for_promised(host)
    host.runner.quietly(units.as_root("stop", turned.colour))


def drain(host: Host) -> None:
    """Stop the colour that does not serve, if it runs: it finishes what it has."""
    colour = edge.other(edge.colour(host.layout))
    if units.rests(host, colour):
        return
    progress.step(f"drain {colour}")
    _wait_for_promised(host)
    host.runner.run(units.as_root("stop", colour))


def _wait_for_promised(host: Host) -> None:
    since = time.time() - host.layout.edge.stat().st_mtime  # the folder's: of the last flag
    if 0 <= since < PROMISED:
        host.runner.sleep(PROMISED - since)


def keep_variables(host: Host, release: Path) -> None:
    """The variables of what serves are those that the next release begins with, unless provision
    writes others meanwhile."""
    if (variables := layout.target(release / ".env")) is not None:
        layout.link(host.layout.env_current, variables.name)


def unassign(host: Host, release: Path) -> None:
    """No colour shall run what is to be removed."""
    now = edge.colour(host.layout)
    for colour in (edge.other(now), now):
        link = host.layout.colour(colour)
        if not link.is_symlink() or link.resolve() != release.resolve():
            continue
        if colour == now and units.runs(host, units.web(colour)):
            raise Failed(f"{release.name} serves, as {colour}: it is not taken away")
        host.runner.run(units.as_root("stop", colour))
        link.unlink()


def served(host: Host) -> str:
    """For who waits: what serves, whatever has happened."""
    if (release := edge.serving(host)) is None:
        return "Nothing serves here yet."
    if not host.server.has("web"):
        return f"{release.name} works."
    colour = edge.colour(host.layout)
    try:
        runs = units.runs(host, units.web(colour))
    except Failed:
        runs = False
    return (
        f"{release.name} serves, as {colour}."
        if runs
        else (f"{release.name} should serve, as {colour}, and does not run: slipway logs web")
    )
