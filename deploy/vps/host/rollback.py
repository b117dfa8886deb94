"""Back to a release that has served: its folder, its environment and its variables are kept. The
schema stays: a migration must leave it so that the release before can work with it."""

from deploy.shell import Failed
from deploy.vps.host import edge, release, releases
from deploy.vps.host.layout import Host


def rollback(host: Host, name: str | None, who: str) -> None:
    """To the release before, or to a named one, of code and variables. To the one that serves
    already too, so that who was broken off may call it again. Raises Failed, with what serves
    then."""
    serves = edge.serving(host)
    folder = releases.before(host.layout, serves.name if serves else None, name)
    if not (folder / ".venv").exists() or not (folder / ".env").exists():
        raise Failed(f"{folder.name} has lost its packages or variables: release its commit again")
    with release.told(host, folder, who, "rollback"):
        release.switch(host, folder, quick=True)
        release.settle(host, folder)
