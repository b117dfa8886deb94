"""Task definitions, services and what is set at the load balancer: the JSON that the CLI is given;
and release.sh, which says in which order."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from deploy.ecs import checks, references, rollout
from deploy.manifest import (
    KINDS,
    LASTING,
    Finding,
    Kind,
    Manifest,
    Platform,
    Process,
    Stage,
    Variable,
)
from deploy.reading import Node, Place, first_of, read, yaml_file
from service.settings import Settings

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
    silent={"python": "it builds the Dockerfile", "deprecated": "no form of ours is"},
)
FOLDER = "deploy/ecs"
FILES = (
    *(f"{kind}.task.json" for kind in KINDS),
    *(f"{kind}.service.json" for kind in LASTING),
    "migrate.run.json",
    "scaling-target.json",
    "target-group.json",
    "execution-policy.json",
)
IDLE = "idle_timeout.timeout_seconds"
FORWARDED = "routing.http.xff_header_processing.mode"
DRAIN = "deregistration_delay.timeout_seconds"

Files = dict[str, Node]  # of a stage, by their names


def read_manifest(root: Path) -> Manifest:
    """Raises Failed if a file is not there, does not parse, or has no number where one must be."""
    balancer = _attributes(root, "load-balancer-attributes.json")
    drain = _attributes(root, "target-group-attributes.json").get(DRAIN)
    idle = _seconds(balancer.get(IDLE), 60)
    forwarded = balancer.get(FORWARDED)
    # With another mode than this it adds nothing to X-Forwarded-For that may be trusted.
    hops = 1 if forwarded is None or forwarded.value == "append" else 0
    platform = replace(PLATFORM, hops=hops, idle=idle, answers_within=idle)
    first = _migrates_first(root)
    stages: list[Stage] = []
    schemas: list[tuple[str, Node]] = []
    findings: list[Finding] = []
    for stage in ("production", "staging"):
        files = {name: yaml_file(root, f"{FOLDER}/{stage}/{name}") for name in FILES}
        place = Place(f"{FOLDER}/{stage}/web.service.json", 1)
        processes = _processes(files, _seconds(drain, 300))
        stages.append(Stage(stage, place, processes, first))
        schemas += _schemas(files)
        findings += references.look(stage, files)
        findings += rollout.look(stage, files, processes, drain)
        findings += _wrong_checks(stage, files)
    return Manifest(platform, tuple(stages), schemas=tuple(schemas), findings=tuple(findings))


def _attributes(root: Path, name: str) -> dict[str | None, Node]:
    file = yaml_file(root, f"{FOLDER}/{name}")
    return {
        each.text("Key"): value for each in file.each("Attributes") if (value := each.get("Value"))
    }


def _seconds(attribute: Node | None, default: float) -> float:
    """An attribute's value is a number, written as text."""
    found = attribute and attribute.whole()
    return float(found.value) if found else default


def _processes(files: Files, drain: float) -> dict[Kind, Process]:
    found = {kind: _process(kind, each) for kind, each in _containers(files)}
    for kind, process in found.items():
        if kind != "migrate":
            least, most = rollout.counts(files, kind)
            found[kind] = replace(process, least=least, instances=most)
    if "web" in found:
        probes = (*checks.balancer(files), *found["web"].probes)
        port = _port(files, found["web"])
        found["web"] = replace(found["web"], probes=probes, port=port, drain=drain)
    return found


def _containers(files: Files) -> Iterator[tuple[Kind, Node]]:
    for kind in KINDS:
        for container in files[f"{kind}.task.json"].each("containerDefinitions"):
            if container.text("name") == kind:
                yield kind, container


def _process(kind: Kind, container: Node) -> Process:
    command, check = container.get("command"), checks.command(container)
    secrets = {name: each for each in container.each("secrets") if (name := each.text("name"))}
    variables = {
        name: Variable(name, each.place, each.text("value"))
        for each in container.each("environment")
        if (name := each.text("name"))
    }
    for name, each in secrets.items():
        refers = each.text("valueFrom")
        value = each.text("value")
        variables[name] = Variable(name, each.place, value, by_hand=bool(refers), refers=refers)
    return Process(
        kind,
        (command or container).place,
        _words(command) if command else None,
        variables,
        probes=checks.alive(container) if kind == "web" else (),
        grace=rollout.whole(container, "stopTimeout"),
        checks=(check,) if check and kind != "web" else (),
    )


def _words(command: Node) -> str:
    return " ".join(str(word.value) for word in command.each())


def _port(files: Files, web: Process) -> Node | None:
    """The first of the ports that web does not listen at, if there is one."""
    found = checks.ports(files, dict(_containers(files))["web"])
    given = web.variables.get("PORT")
    listens = given.value if given else str(Settings.model_fields["port"].default)
    wrong = [each for each in found if str(each.value) != listens]
    return next(iter([*wrong, *found]), None)


def _wrong_checks(stage: str, files: Files) -> Iterator[Finding]:
    for kind, container in _containers(files):
        yield from checks.look(stage, kind, container)
    yield from checks.look_at_the_balancer(stage, files)


# The lines that end a release whose migration failed; all must be there, in this order.
STOPS = (
    re.compile(r"set -\w*e"),
    re.compile(r"fail\(\) \{"),
    re.compile(r"\s+exit 1$"),
    re.compile(r".*\becs run-task\b"),
    re.compile(r".*\[0\]\.exitCode\b"),
    re.compile(r"code=\$\(echo \"\$ended\" \| cut -f 1\)"),
    re.compile(r'\[ "\$code" = 0 \] \|\| fail '),
)


def _migrates_first(root: Path) -> Place | None:
    """Where release.sh runs the task, if it looks at its exit code too before it updates any."""
    name = f"{FOLDER}/release.sh"
    lines = [
        Node(line.partition(" #")[0], Place(name, number))
        for number, line in enumerate(read(root, name).splitlines(), 1)
        if not line.startswith("#")
    ]
    left = list(STOPS)
    for each in lines:
        if left and left[0].match(each.value):
            left.pop(0)
        if "ecs update-service" in each.value:
            break
    return None if left else first_of(lines, "ecs run-task", "ecs update-service")


def _schemas(files: Files) -> list[tuple[str, Node]]:
    found = [("aws-ecs-task-definition.schema.json", files[f"{kind}.task.json"]) for kind in KINDS]
    for kind in LASTING:
        service = files[f"{kind}.service.json"]
        # The name goes into the command, so that the file is one for create and update.
        named = Node(service.value | {"serviceName": Node(kind, service.place)}, service.place)
        found.append(("aws-ecs-service.schema.json", named))
    return found
