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
# In a release of other variables: a link to those that they were made from.
PREPARED_WITH = ".env.before"


@dataclass(frozen=True)
class Turned:
    """What a switch has changed, to change it back."""

    colour: str
    before: str  # the colour that served
    variables: Path | None  # that the next release would have begun with


def turn(host: Host, release: Path, *, quick: bool = False) -> Turned | None:
    """Have a release serve; None if it does already. The colour that served still runs then, until
    `drain`. Raises Failed: the old one serves then. `quick` leaves out what takes a second, for a
    release that has served before."""
    found, now = host.layout, edge.colour(host.layout)
    if edge.serving(host) == release and units.runs_since(host, units.web(now), found.colour(now)):
        progress.detail(f"{release.name} serves already, as {now}")
        return None
    colour = edge.idle(host)
    before = layout.target(found.colour(now))
    turned = Turned(colour, now, layout.target(found.env_current))
    try:
        start(host, colour, release)
        if not quick:
            progress.step(f"smoke test of {colour}")
            checks.smoke_web(host, colour, release)
        with uninterrupted():  # a switch and what belongs to it are one thing
            progress.step(f"switch to {colour}")
            edge.switch(found, colour)
            keep_variables(host, release, before)
        progress.step("smoke test through nginx")
        checks.smoke_edge(host, release)
    except BaseException:  # what it is does not matter: the disk may be full
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
        _give_variables_back(host, turned)
        _wait_for_promised(host)
    host.runner.quietly(units.as_root("stop", turned.colour))


def _give_variables_back(host: Host, turned: Turned) -> None:
    """Unless provision has written others meanwhile. A full disk is no reason to go no further."""
    found = host.layout
    ours = layout.target(found.colour(turned.colour) / ".env")
    if turned.variables is None or layout.target(found.env_current) != ours:
        return
    try:
        layout.link(found.env_current, turned.variables.name)
    except OSError as error:
        progress.warn(f"also failed: {layout.words(error)}")


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


def keep_variables(host: Host, release: Path, before: Path | None = None) -> None:
    """The variables of what serves are those that the next release begins with; but not in the
    place of others that no release has had yet, which provision wrote since this one was prepared.
    `before` is the release that served before."""
    variables, now = layout.target(release / ".env"), layout.target(host.layout.env_current)
    if variables is None or variables == now:
        return
    known = {layout.target(each / ".env") for each in (before,) if each}
    known.add((release / PREPARED_WITH).resolve())
    if now is not None and now not in known:
        progress.detail(f"{now.name} has variables for the next release: they stay for that")
        return
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
