"""Worker and scheduler: replaced after the switch, put back if they do not run."""

from pathlib import Path

from deploy.shell import Failed, uninterrupted
from deploy.vps.host import layout, progress, units
from deploy.vps.host.layout import Host

STEADY = 5  # seconds for which they must have run: a start takes one or two
LOOKS = 20


def replace(host: Host, release: Path) -> Path | None:
    """Have them run this release. The one before is returned. Raises Failed: it is back then."""
    before = layout.target(host.layout.workers)
    if run(host, release):
        progress.detail(f"worker and scheduler run {release.name} already")
        return before
    progress.step("replace worker and scheduler")
    try:
        layout.link(host.layout.workers, release)
        host.runner.run(units.as_root("workers", "restart"))
        _wait(host)
    except BaseException:
        with uninterrupted():
            back(host, before)
        raise
    return before


def run(host: Host, release: Path) -> bool:
    """Whether they are of this release."""
    link = host.layout.workers
    if layout.target(link) != release:
        return False
    return all(units.runs_since(host, each, link) for each in units.WORKERS)


def back(host: Host, before: Path | None) -> None:
    """Have them run what they did; without that they stop."""
    if before is None:
        host.layout.workers.unlink(missing_ok=True)
        host.runner.quietly(units.as_root("workers", "stop"))
        return
    if run(host, before):
        return
    progress.step(f"worker and scheduler back to {before.name}")
    layout.link(host.layout.workers, before)
    host.runner.quietly(units.as_root("workers", "restart"))


def _wait(host: Host) -> None:
    """They must run, and keep running: systemd starts what fails again and again."""
    first: dict[str, str] = {}
    for _ in range(LOOKS):
        for unit in units.WORKERS:
            found = units.state(host, unit)
            pid = found.get("MainPID", "0")
            if found.get("ActiveState") not in ("active", "activating") or (
                first.setdefault(unit, pid) != pid
            ):
                words = units.last_words(host, unit)
                raise Failed(f"{unit} does not keep running. It said last:\n{words}")
        host.runner.sleep(STEADY / LOOKS)
    for unit in units.WORKERS:
        if not units.runs(host, unit):
            raise Failed(
                f"{unit} does not get started. It said last:\n{units.last_words(host, unit)}"
            )
