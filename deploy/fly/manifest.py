"""fly.toml and fly.staging.toml."""

import re
from pathlib import Path

from deploy.fly.findings import look
from deploy.manifest import LASTING, Kind, Manifest, Platform, Probe, Process, Stage, Variable
from deploy.reading import Node, Place, read, toml_file
from deploy.shell import Failed

# The last address of X-Forwarded-For is the app's own, so the client's is the second from the
# right. Its public proxy closes connections that are idle for 60 s.
PLATFORM = Platform(
    name="fly",
    grace=5,
    grace_most=300,
    sets={"FLY_APP_NAME": None, "FLY_MACHINE_ID": None, "PRIMARY_REGION": None},
    hops=2,
    idle=60,
    silent={
        "python": "it builds the Dockerfile",
        "deprecated": "no form of ours is",
    },
)
FILES = {"production": "fly.toml", "staging": "deploy/fly/fly.staging.toml"}


def read_manifest(root: Path) -> Manifest:
    """Raises Failed if a file is not there, does not parse, or has no number where one belongs."""
    files = {stage: toml_file(root, name) for stage, name in FILES.items()}
    return Manifest(
        PLATFORM,
        tuple(_stage(stage, file, read(root, FILES[stage])) for stage, file in files.items()),
        schemas=tuple(("fly.schema.json", file) for file in files.values()),
        findings=tuple(each for stage, file in files.items() for each in look(file, stage)),
    )


def _stage(stage: str, file: Node, text: str) -> Stage:
    # Of the same app they would be the same.
    secrets = _secrets(Place(FILES[stage], 1), text, file.text("app") or "an app without a name")
    given = {each.name: each for each in secrets}
    given |= {key: Variable(key, node.place, str(node.value)) for key, node in file.items("env")}
    signal, grace = file.text("kill_signal"), _seconds(file.get("kill_timeout"))
    if signal != "SIGTERM":  # web ends at once by another, and by SIGINT, which is the default
        grace = Node(0, (file.get("kill_signal") or file).place)
    machines = file.whole("http_service", "min_machines_running")
    processes: dict[Kind, Process] = {}
    for kind in LASTING:
        if command := file.get("processes", kind):
            served = kind == "web"
            processes[kind] = Process(
                kind,
                command.place,
                str(command.value),
                given,
                probes=_probes(file) if served else (),
                port=_port(file) if served else None,
                grace=grace,
                instances=machines if served else None,
                least=machines if served else None,
            )
    first = file.get("deploy", "release_command")
    if first:
        processes["migrate"] = Process("migrate", first.place, str(first.value), given)
    return Stage(stage, file.place, processes, first.place if first else None)


def _seconds(given: Node | None) -> Node | None:
    """Seconds, or a duration of Go such as 1m30s. Raises Failed."""
    if given is None or re.fullmatch(r"\d+", str(given.value)):
        return given and given.whole()
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", str(given.value))
    if not parts or "".join(map("".join, parts)) != str(given.value):
        raise Failed(f"{given.place}: {given.value} is no duration, such as 60 or 60s")
    return Node(sum(float(number) * units[unit] for number, unit in parts), given.place)


def _port(file: Node) -> Node | None:
    """Fly sets no PORT; it sends requests to 8080, unless it is told otherwise."""
    service = file.get("http_service")
    return service and (service.whole("internal_port") or Node(8080, service.place))


def _probes(file: Node) -> tuple[Probe, ...]:
    """Those of the service, at its port, and those beside it, which name theirs. Without a path,
    / is asked. Of the latter, those of other processes count too: they do not listen."""
    of_service = [(each, None) for each in file.each("http_service", "checks")]
    beside = [(each, each.whole("port")) for _, each in file.items("checks")]
    return tuple(
        Probe(each.text("path") or "/", (each.get("path") or each).place, port=port)
        for each, port in [*of_service, *beside]
        if each.text("type") in (None, "http")
    )


def _secrets(file: Place, text: str, app: str) -> list[Variable]:
    """Those that a comment names, since the file itself cannot refer to them."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if listed := re.match(r"# Secrets, by .*?: ([A-Z0-9_ ]+)$", line):
            found += [
                Variable(each, Place(file.file, number), by_hand=True, refers=f"{each} of {app}")
                for each in listed[1].split()
            ]
    return found
