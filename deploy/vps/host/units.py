"""systemd's units: how they are called, asked and listened to."""

import time
from pathlib import Path

from deploy.shell import CommandFailed, Failed
from deploy.vps.host import releases
from deploy.vps.host.layout import ROOT_PROGRAM, USER, Host

NGINX, POSTGRESQL = "nginx.service", "postgresql@*.service"  # the latter has its version in it
LOGGED_AS = {"postgresql": "postgres"}  # by `vps logs`
WORKERS = ("slipway-worker.service", "slipway-scheduler.service")
LINES = 20  # of what a unit that failed said last
_PROPERTIES = "ActiveState,SubState,Result,NRestarts,MainPID,ActiveEnterTimestamp"


def web(colour: str) -> str:
    return f"slipway-web@{colour}.service"


def as_root(*words: str) -> list[str]:
    """The only program that we may run as root, with the only words that it takes."""
    return ["sudo", "-n", ROOT_PROGRAM, *words]


def as_service(release: Path, *command: str) -> list[str]:
    """A command in a release, as the user who serves, with nothing of our environment: what the
    service needs is in .env, which it reads itself."""
    given = {
        "PATH": f"{release}/.venv/bin:/usr/bin:/bin",
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "COMMIT_SHA": releases.commit(release),
    }
    pairs = [f"{name}={text}" for name, text in given.items()]
    clean = ["env", "--ignore-environment", f"--chdir={release}", *pairs]
    return ["sudo", "-n", "-u", USER, *clean, *command]


def service(release: Path, *words: str) -> list[str]:
    return as_service(release, f"{release}/.venv/bin/python", "-m", "service", *words)


def state(host: Host, unit: str) -> dict[str, str]:
    words = ("show", f"--property={_PROPERTIES}", "--timestamp=unix", unit)
    said = host.runner.run(["systemctl", *words])
    return dict(line.partition("=")[::2] for line in said.splitlines() if "=" in line)


def active_state(host: Host, unit: str) -> str:
    """Of a pattern, systemd knows what runs; of the rest it says nothing."""
    return state(host, unit).get("ActiveState", "inactive")


def runs(host: Host, unit: str) -> bool:
    return active_state(host, unit) == "active"


def check(host: Host) -> None:
    """Raises Failed where nothing new could serve, whatever it is, for want of what it needs."""
    server = host.server
    needed = [NGINX] if server.has("web") or server.has("balancer") else []
    needed += [POSTGRESQL] if server.has("database") else []
    for unit in needed:
        if not runs(host, unit):
            name = unit.removesuffix(".service").removesuffix("@*")
            raise Failed(
                f"{name} does not run on {server.server}, so nothing was touched. `vps provision`"
                f" starts it; `vps logs {LOGGED_AS.get(name, name)}` says why it ended"
            )


def rests(host: Host, colour: str) -> bool:
    """Neither its service nor its socket is there."""
    names = (web(colour), f"slipway-web@{colour}.socket")
    return all(state(host, name).get("ActiveState") in ("inactive", "failed") for name in names)


def runs_since(host: Host, unit: str, link: Path) -> bool:
    """It runs, and was started after this link was made: so it runs what the link points to."""
    found = state(host, unit)
    at = found.get("ActiveEnterTimestamp", "").removeprefix("@")
    if found.get("ActiveState") != "active" or not at.isdecimal() or not link.is_symlink():
        return False
    return int(at) >= int(link.lstat().st_mtime)


def last_words(host: Host, unit: str, since: float | None = None) -> str:
    """What it said, and systemd of it, for a message, which must come though this fails. `since`
    is in seconds of the epoch."""
    return _journal(host, since, "--unit", unit)


def _journal(host: Host, since: float | None, *match: str) -> str:
    words = ["--no-pager", "--quiet", "--output=cat", f"--lines={LINES}"]
    words += [f"--since=@{since:.0f}"] if since else []
    try:
        return host.runner.run(["journalctl", *words, *match]).strip()
    except Failed as failure:
        return f"(its log cannot be read: {failure})"


def start(host: Host, colour: str) -> None:
    """Returns when it is ready. Raises Failed, with what it said."""
    since = time.time()
    try:
        host.runner.run(as_root("start", colour))
    except CommandFailed as failure:
        said = last_words(host, web(colour), since)
        raise Failed(f"{colour} does not start. It said last:\n{said or failure.said}") from None


def migrate(host: Host, colour: str) -> str:
    """What it said. Raises Failed, with that."""
    unit, since = f"slipway-migrate@{colour}.service", time.time()
    try:
        host.runner.run(as_root("migrate", colour), timeout=3600)
    except CommandFailed as failure:
        said = last_words(host, unit, since)
        raise Failed(f"the migration failed. It said last:\n{said or failure.said}") from None
    return _journal(host, since, f"_SYSTEMD_UNIT={unit}")
