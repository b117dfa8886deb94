"""Task definitions, services and what is set at the load balancer: the JSON that the CLI is given;
and release.sh, which says in which order."""

import re
from dataclasses import replace
from pathlib import Path

from deploy.manifest import KINDS, Kind, Manifest, Platform, Probe, Process, Stage, Variable
from deploy.reading import Node, Place, first_of, read, yaml_file
from deploy.shell import Failed

# Sources: deploy/ecs/README.md. What the load balancer's attributes say goes before what is here.
PLATFORM = Platform(
    name="ecs",
    grace=30,
    grace_most=120,
    sets={"AWS_REGION": None, "AWS_EXECUTION_ENV": None, "ECS_CONTAINER_METADATA_URI_V4": None},
    hops=1,
    idle=60,
    answers_within=60,
    # RDS allows 225 with 2 GB by its formula, and less in fact, for it keeps some of the memory.
    connections=150,
)
FOLDER = "deploy/ecs"
SERVED: tuple[Kind, ...] = ("web", "worker", "scheduler")
FILES = (
    *(f"{kind}.task.json" for kind in KINDS),
    *(f"{kind}.service.json" for kind in SERVED),
    "scaling-target.json",
    "target-group.json",
)
IDLE = "idle_timeout.timeout_seconds"
FORWARDED = "routing.http.xff_header_processing.mode"
DRAIN = "deregistration_delay.timeout_seconds"

Files = dict[str, Node]  # of a stage, by their names


def read_manifest(root: Path) -> Manifest:
    """Raises Failed if a file is not there, does not parse, or has no number where one must be."""
    balancer = _attributes(root, "load-balancer-attributes.json")
    drain = _seconds(_attributes(root, "target-group-attributes.json").get(DRAIN), 300)
    idle = _seconds(balancer.get(IDLE), 60)
    forwarded = balancer.get(FORWARDED)
    # With another mode than this it adds nothing to X-Forwarded-For that may be trusted.
    hops = 1 if forwarded is None or forwarded.value == "append" else 0
    platform = replace(PLATFORM, hops=hops, idle=idle, answers_within=idle)
    first = _migrates_first(root)
    stages, schemas = [], []
    for stage in ("production", "staging"):
        files = {name: yaml_file(root, f"{FOLDER}/{stage}/{name}") for name in FILES}
        place = Place(f"{FOLDER}/{stage}/web.service.json", 1)
        stages.append(Stage(stage, place, _processes(files, drain), first))
        schemas += _schemas(files)
    return Manifest(platform, tuple(stages), schemas=tuple(schemas))


def _attributes(root: Path, name: str) -> dict[str | None, Node]:
    file = yaml_file(root, f"{FOLDER}/{name}")
    return {
        each.text("Key"): value for each in file.each("Attributes") if (value := each.get("Value"))
    }


def _seconds(attribute: Node | None, default: float) -> float:
    """An attribute's value is a number, written as text."""
    if attribute is None:
        return default
    if not str(attribute.value).isdecimal():
        raise Failed(f"{attribute.place}: {attribute.value} is no number of seconds")
    return float(attribute.value)


def _processes(files: Files, drain: float) -> dict[Kind, Process]:
    found: dict[Kind, Process] = {}
    for kind in KINDS:
        for container in files[f"{kind}.task.json"].each("containerDefinitions"):
            if container.text("name") == kind:
                found[kind] = _process(kind, container)
    if "web" in found:
        found["web"] = replace(_behind_the_balancer(files, found["web"]), drain=drain)
    if "worker" in found:
        count = _whole(files["worker.service.json"], "desiredCount")
        found["worker"] = replace(found["worker"], instances=count)
    return found


def _process(kind: Kind, container: Node) -> Process:
    command = container.get("command")
    variables = {
        name: Variable(
            name, each.place, each.text("value"), by_hand=each.get("valueFrom") is not None
        )
        for each in (*container.each("environment"), *container.each("secrets"))
        if (name := each.text("name"))
    }
    return Process(
        kind,
        (command or container).place,
        _words(command) if command else None,
        variables,
        probes=_alive(container) if kind == "web" else (),
        grace=_whole(container, "stopTimeout"),
    )


def _words(command: Node) -> str:
    return " ".join(str(word.value) for word in command.each())


def _alive(container: Node) -> tuple[Probe, ...]:
    """What the container's own check asks: who fails it is replaced."""
    command = container.get("healthCheck", "command")
    if command is None:
        return ()
    # `healthcheck web` asks whether it is ready, and is no check of whether it lives.
    own = "service healthcheck" in (said := _words(command))
    path = "/health/ready" if own else next(iter(re.findall(r"/health[\w/]*", said)), None)
    return (Probe(path, command.place, stops=True),) if path else ()


def _behind_the_balancer(files: Files, web: Process) -> Process:
    path = files["target-group.json"].get("HealthCheckPath")
    asked = (Probe(str(path.value), path.place),) if path else ()
    return replace(
        web,
        probes=(*asked, *web.probes),
        port=files["web.service.json"].get("loadBalancers", 0, "containerPort"),
        instances=_whole(files["scaling-target.json"], "MaxCapacity"),
    )


def _whole(file: Node, key: str) -> Node | None:
    found = file.get(key)
    if found is not None and type(found.value) is not int:
        raise Failed(f"{found.place}: {key} is {found.value!r}, and must be a whole number")
    return found


def _migrates_first(root: Path) -> Place | None:
    """Where release.sh runs the task, if it looks at its exit code too before it updates any."""
    name = f"{FOLDER}/release.sh"
    lines = [
        Node(line.partition("#")[0], Place(name, number))
        for number, line in enumerate(read(root, name).splitlines(), 1)
    ]
    looks = first_of(lines, ".exitCode", "ecs update-service")
    return looks and first_of(lines, "ecs run-task", "ecs update-service")


def _schemas(files: Files) -> list[tuple[str, Node]]:
    found = [("aws-ecs-task-definition.schema.json", files[f"{kind}.task.json"]) for kind in KINDS]
    for kind in SERVED:
        service = files[f"{kind}.service.json"]
        # The name goes into the command, so that the file is one for create and update.
        named = Node(service.value | {"serviceName": Node(kind, service.place)}, service.place)
        found.append(("aws-ecs-service.schema.json", named))
    return found
