"""What an operator runs by hand: the service's logs, a command of it, a Python with the app."""

import sys
from pathlib import Path

from deploy.shell import Failed
from deploy.vps.host import units

LOGS = {
    "web": ("slipway-web@blue.service", "slipway-web@green.service"),
    "worker": ("slipway-worker.service",),
    "scheduler": ("slipway-scheduler.service",),
    "migrate": ("slipway-migrate@blue.service", "slipway-migrate@green.service"),
    "backup": ("slipway-backup.service",),
    "nginx": (units.NGINX,),
    "postgres": (units.POSTGRESQL,),
    "redis": ("redis-server.service",),
}
REQUESTS = ("/var/log/nginx/access.log", "/var/log/nginx/error.log")
SERVICE = ("web", "worker", "scheduler", "migrate")
_CONSOLE = """
from service.app import create_app
from service.db import session
from service.settings import Settings
app = create_app(Settings.load(), "console")
app.app_context().push()
print("app and session are there; what you change is kept by session.commit()")
"""


def logs(names: list[str], *, follow: bool, lines: int) -> list[list[str]]:
    """Commands, one after the other. Raises Failed for a name that there is not."""
    if unknown := [name for name in names if name not in LOGS]:
        raise Failed(f"there is no unit {unknown[0]!r}; there are {', '.join(LOGS)}")
    if "nginx" in names and len(names) > 1:
        raise Failed("nginx writes to files of its own: ask for its logs alone")
    chosen = [f"--unit={unit}" for name in names or SERVICE for unit in LOGS[name]]
    words = ["--no-pager", "--output=short-iso", f"--lines={lines}"]
    journal = ["journalctl", *words, *chosen]
    if names == ["nginx"]:  # its journal has starts alone
        return [journal, ["tail", f"--lines={lines}", *(["-F"] if follow else []), *REQUESTS]]
    return [[*journal, *(["--follow"] if follow else [])]]


def command(release: Path, words: list[str]) -> list[str]:
    """A command of the service, as the user who serves, in the release that serves."""
    return units.as_service(release, *words)


def console(release: Path) -> list[str]:
    python = f"{release}/.venv/bin/python"
    quiet = [] if sys.stdin.isatty() else ["-q"]
    return units.as_service(release, python, *quiet, "-i", "-c", _CONSOLE)
