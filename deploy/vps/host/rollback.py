"""Back to a release that has served: its folder, its environment and its variables are kept. The
schema stays: a migration must leave it so that the release before can work with it."""

from contextlib import suppress
from pathlib import Path

from deploy.shell import Failed
from deploy.vps.host import edge, envfile, progress, release, releases, units
from deploy.vps.host.layout import Host

PUSHED = "to Git it is pushed still: `vps release`, or a push of a new commit, goes forward again"


def rollback(host: Host, name: str | None, who: str) -> None:
    """To the release before, or to a named one, of code and variables. To the one that serves
    already too, so that who was broken off may call it again. Raises Failed, with what serves
    then."""
    units.check(host)
    serves = edge.serving(host)
    folder = releases.before(host.layout, serves.name if serves else None, name)
    if not (folder / ".venv").exists() or not (folder / ".env").exists():
        raise Failed(f"{folder.name} has lost its packages or variables: release its commit again")
    with release.told(host, folder, who, "rollback"):
        _say_what_else_goes_back(serves, folder)
        release.switch(host, folder, quick=True)
        release.settle(host, folder)
        if host.server.servers == 1 and host.server.repository is None:
            progress.detail(PUSHED)


def _say_what_else_goes_back(serves: Path | None, folder: Path) -> None:
    """The next release begins with these too: an old secret would stay unseen."""
    if serves is None:
        return
    with suppress(Failed, OSError):
        now, then = (envfile.values((each / ".env").read_text()) for each in (serves, folder))
        if names := sorted(name for name in {*now, *then} if now.get(name) != then.get(name)):
            progress.detail(f"variables go back too: {', '.join(names)}")
