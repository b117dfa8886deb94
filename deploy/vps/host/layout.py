"""Where everything lies on a server, and what it is called there.

The same names are in deploy/vps/root.py, in the units and in nginx's configuration.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.shell import Failed
from deploy.vps.host.runner import Runner

USER = "slipway"  # runs the service; owns nothing of the code
PROGRAM = "/usr/local/bin/slipway"
ROOT_PROGRAM = "/usr/local/sbin/slipway-root"
COLOURS = ("blue", "green")
PORTS = {"blue": 8001, "green": 8002}  # on the loopback, as the units' sockets have it
INNER_PORT = 8080  # of nginx on a server that stands behind a balancer


@dataclass(frozen=True)
class Layout:
    """Folders and files. A test has a root of its own."""

    root: Path = Path("/srv/slipway")
    backups: Path = Path("/var/backups/slipway")
    settings: Path = Path("/etc/slipway/server.json")
    databases: Path = Path("/var/lib/postgresql")

    def __post_init__(self) -> None:
        # It may be a link to another disk, and what lies in it is compared with what is resolved.
        object.__setattr__(self, "root", self.root.resolve())

    @property
    def repository(self) -> Path:
        return self.root / "repository.git"

    @property
    def releases(self) -> Path:
        return self.root / "releases"

    @property
    def failed(self) -> Path:
        """The last release that failed before it served, for who wants to look at it."""
        return self.releases / "failed"

    @property
    def environments(self) -> Path:
        return self.root / "environments"

    @property
    def env(self) -> Path:
        return self.root / "env"

    @property
    def env_current(self) -> Path:
        return self.env / "current"

    def colour(self, name: str) -> Path:
        return self.root / "colours" / name

    @property
    def workers(self) -> Path:
        return self.root / "workers"

    @property
    def edge(self) -> Path:
        return self.root / "edge"

    @property
    def metrics(self) -> Path:
        """Of node exporter's textfile collector; only where somebody asks (`[monitoring]`)."""
        return self.root / "metrics"

    @property
    def history(self) -> Path:
        return self.root / "history"

    @property
    def log(self) -> Path:
        return self.root / "log.jsonl"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def hold(self) -> Path:
        return self.root / "hold"

    @property
    def backing_up(self) -> Path:
        """The lock of back-ups: the nightly one waits for no release, but for another back-up."""
        return self.root / "backing-up"

    @property
    def trying(self) -> Path:
        """The lock of who tries a back-up, for which nobody else waits."""
        return self.root / "trying"

    @property
    def locked(self) -> Path:
        return self.root / "locked.json"


@dataclass(frozen=True)
class Server:
    """What provision wrote of this server, in server.json."""

    server: str
    roles: frozenset[str]
    domain: str
    tls: str  # letsencrypt, self-signed, none
    branch: str
    repository: str | None  # where commits are fetched from; None: they are pushed here
    keep: int
    web_servers: tuple[str, ...]
    behind_balancer: bool
    keep_days: int
    copy_to: str | None
    servers: int = 1  # how many there are of the fleet

    def has(self, role: str) -> bool:
        return role in self.roles


@dataclass(frozen=True)
class Host:
    """This server: where things are, what it is, and what runs commands on it."""

    server: Server
    layout: Layout = field(default_factory=Layout)
    runner: Runner = field(default_factory=Runner)


def read_server(path: Path) -> Server:
    """Raises Failed if it is not there, or is not what provision writes."""
    again = "python -m deploy vps provision writes it"
    try:
        said: dict[str, Any] = json.loads(path.read_text())
        return Server(
            server=said["server"],
            roles=frozenset(said["roles"]),
            domain=said["domain"],
            tls=said["tls"],
            branch=said["branch"],
            repository=said["repository"],
            keep=max(2, int(said["keep"])),
            web_servers=tuple(said["web_servers"]),
            behind_balancer=said["behind_balancer"],
            keep_days=int(said["backups"]["keep_days"]),
            copy_to=said["backups"]["copy_to"],
            servers=int(said.get("servers", 1)),
        )
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}. {again}") from None
    except KeyError as error:
        raise Failed(f"{path} lacks {error}. {again}") from None
    except (ValueError, TypeError) as error:
        raise Failed(f"{path} is not what it should be: {error}. {again}") from None


def words(error: OSError) -> str:
    """What could not be done with a file, for a message: most often the disk is full."""
    return f"{error.filename or 'a file'}: {error.strerror or error}"


def link(path: Path, target: str | Path) -> None:
    """Point a link at a target, so that whoever looks meanwhile sees the old one or the new."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(path)
    sync(path.parent)


def target(path: Path) -> Path | None:
    """Where a link points to; None if there is no link, or nothing where it points to."""
    return path.resolve() if path.is_symlink() and path.exists() else None


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file as a whole: whoever reads it sees the old text or the new, after a power cut
    too."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "w") as file:
            os.fchown(descriptor, -1, path.parent.stat().st_gid)  # slipway may read its variables
            os.fchmod(descriptor, mode)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None  # a write names no file
    sync(path.parent)


def sync(folder: Path) -> None:
    """Have what was made, renamed or removed in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
