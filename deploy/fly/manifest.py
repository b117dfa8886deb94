"""fly.toml and fly.staging.toml."""

import re
from pathlib import Path

from deploy.manifest import Kind, Manifest, Platform, Probe, Process, Stage, Variable
from deploy.reading import Node, Place, read, toml_file

# The last address of X-Forwarded-For is the app's own, so the client's is the second from the
# right. Its public proxy closes connections that are idle for 60 s.
PLATFORM = Platform(
    name="fly",
    grace=5,
    grace_most=300,
    sets={"FLY_APP_NAME": None, "FLY_MACHINE_ID": None, "PRIMARY_REGION": None},
    hops=2,
    idle=60,
)
FILES = ("fly.toml", "deploy/fly/fly.staging.toml")
KINDS: tuple[Kind, ...] = ("web", "worker", "scheduler")


def read_manifest(root: Path) -> Manifest:
    """Raises Failed if a file is not there or does not parse."""
    stages, schemas = [], []
    for name in FILES:
        file = toml_file(root, name)
        stages.append(_stage(file, name, read(root, name)))
        schemas.append(("fly.schema.json", file))
    return Manifest(PLATFORM, tuple(stages), schemas=tuple(schemas))


def _stage(file: Node, name: str, text: str) -> Stage:
    given = {each.name: each for each in _secrets(name, text)}
    given |= {key: Variable(key, node.place, str(node.value)) for key, node in file.items("env")}
    signal, grace = file.text("kill_signal"), file.get("kill_timeout")
    if signal != "SIGTERM":  # web ends at once by another, and by SIGINT, which is the default
        grace = Node(0, (file.get("kill_signal") or file).place)
    processes: dict[Kind, Process] = {}
    for kind in KINDS:
        if command := file.get("processes", kind):
            served = kind == "web"
            processes[kind] = Process(
                kind,
                command.place,
                str(command.value),
                given,
                probes=_probes(file) if served else (),
                port=file.get("http_service", "internal_port") if served else None,
                grace=grace,
                instances=file.get("http_service", "min_machines_running") if served else None,
            )
    first = file.get("deploy", "release_command")
    if first:
        processes["migrate"] = Process("migrate", first.place, str(first.value), given)
    place = Place(name, 1)
    stage = given["APP_ENV"].value if "APP_ENV" in given else "production"
    return Stage(stage or "", place, processes, first.place if first else None)


def _probes(file: Node) -> tuple[Probe, ...]:
    return tuple(
        Probe(str(path.value), path.place)
        for each in file.each("http_service", "checks")
        if (path := each.get("path"))
    )


def _secrets(name: str, text: str) -> list[Variable]:
    """Those that a comment names, since the file itself cannot refer to them."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if listed := re.match(r"# Secrets, by .*?: ([A-Z0-9_ ]+)$", line):
            found += [
                Variable(each, Place(name, number), by_hand=True) for each in listed[1].split()
            ]
    return found
