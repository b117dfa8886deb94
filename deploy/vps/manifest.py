"""servers.toml and the units, in the form that the platforms' manifests have."""

import re
from pathlib import Path

from deploy.manifest import LASTING, Kind, Manifest, Platform, Process, Stage, Variable
from deploy.reading import Node, Place, read
from deploy.vps import settings
from deploy.vps.servers import FILE, Fleet, Role

# systemd's own time to stop is 90 s. nginx is in front, and keeps idle connections for 60 s.
PLATFORM = Platform(
    name="vps",
    grace=90,
    grace_most=3600,
    hops=1,
    idle=60,
    asks=False,
    silent={"health": "systemd and nginx do not ask; `vps status` does"},
)
UNITS: dict[Kind, str] = {
    "web": "slipway-web@.service",
    "worker": "slipway-worker.service",
    "scheduler": "slipway-scheduler.service",
    "migrate": "slipway-migrate@.service",
}
FOLDER = "deploy/vps/units"
# Made on the server by `provision`; deploy/vps/provision/variables.py gives them to the service.
MADE = ("JWT_SECRET", "SMOKE_TOKEN", "METRICS_TOKEN")
ADDRESSES: dict[str, Role] = {"DATABASE_URL": "database", "REDIS_URL": "redis"}


def read_manifest(root: Path) -> Manifest:
    """Raises Failed if servers.toml is not there, or is wrong."""
    return manifest_of(root, settings.load(root), FILE)


def manifest_of(root: Path, fleet: Fleet, file: str) -> Manifest:
    """Raises Failed if a unit is not there."""
    place = Place(file, 1)
    processes = {kind: _process(root, kind, fleet, place) for kind in (*LASTING, "migrate")}
    migrates = processes["migrate"].place
    return Manifest(PLATFORM, (Stage("production", place, processes, migrates),), root=root)


def _process(root: Path, kind: Kind, fleet: Fleet, place: Place) -> Process:
    name = f"{FOLDER}/{UNITS[kind]}"
    lines = read(root, name).splitlines()
    grace = _line(name, lines, r"TimeoutStopSec=(\d+)$")
    command = _line(name, lines, r"ExecStart=.*/(python -m service .*)$")
    count = Node(len(fleet.with_role("web" if kind == "web" else "worker")), place)
    lasts = kind in LASTING
    return Process(
        kind,
        command.place if command else Place(name, 1),
        str(command.value) if command else None,
        _variables(fleet, place),
        grace=Node(int(grace.value), grace.place) if grace else None,
        instances=count if lasts else None,
        least=count if lasts else None,
    )


def _variables(fleet: Fleet, place: Place) -> dict[str, Variable]:
    written = {
        "APP_ENV": "production",
        "PROXY_HOPS": "1",
        "HTTPS_ONLY": "false" if fleet.tls == "none" else "true",
    }
    found = {name: Variable(name, place, value) for name, value in written.items()}
    found |= {name: Variable(name, place, made=True) for name in MADE}
    for name, role in ADDRESSES.items():
        made = bool(fleet.with_role(role))
        found[name] = Variable(name, place, made=made, by_hand=not made)
    return found


def _line(file: str, lines: list[str], pattern: str) -> Node | None:
    for number, line in enumerate(lines, 1):
        if found := re.match(pattern, line):
            return Node(found[1], Place(file, number))
    return None
