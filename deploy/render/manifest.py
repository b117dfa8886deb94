"""render.yaml, a Blueprint."""

from collections.abc import Iterator
from pathlib import Path

from deploy.manifest import Finding, Kind, Manifest, Platform, Probe, Process, Stage
from deploy.reading import Node, Place, yaml_file
from deploy.render import findings, variables

# PORT is 10000 unless it is set. In front are Cloudflare and Render's own proxy.
PLATFORM = Platform(
    name="render",
    grace=30,
    grace_most=300,
    sets={"PORT": None},
    hops=2,
    connections=97,  # of each plan with less than 8 GB: 100, 3 of them reserved
    silent={
        "port": "it sets PORT, and its manifest names none",
        "python": "it builds the Dockerfile",
    },
)
FILE = "render.yaml"
STAGES = ("production", "staging")
OLD = {
    "env": "`env:`, now `runtime:`",
    "autoDeploy": "`autoDeploy:`, now `autoDeployTrigger:`",
    "pullRequestPreviewsEnabled": "`pullRequestPreviewsEnabled:`, now `previews:`",
    "previewPlan": "`previewPlan:`, now `previews.plan:`",
}


def read_manifest(root: Path) -> Manifest:
    """Raises Failed if it is not there or does not parse."""
    file = yaml_file(root, FILE)
    environments = [
        (each, variables.groups(file, project, each))
        for project in file.each("projects")
        for each in project.each("environments")
    ]
    services = [each for environment, _ in environments for each in environment.each("services")]
    found = [
        *_missing([environment for environment, _ in environments]),
        *findings.twice(services),
        *(each for one, groups in environments for each in findings.of(one)),
        *(each for one, groups in environments for each in variables.wrong(one, groups)),
    ]
    return Manifest(
        platform=PLATFORM,
        stages=tuple(_stage(each, groups) for each, groups in environments),
        deprecated=tuple(_old(services)),
        schemas=(("render.schema.json", file),),
        findings=tuple(found),
    )


def _missing(environments: list[Node]) -> Iterator[Finding]:
    there = [each.text("name") for each in environments]
    for name in STAGES:
        if name not in there:
            yield Finding(
                "processes",
                Place(FILE, 1),
                f"there is no environment {name}",
                f"projects: … environments: - name: {name}",
            )


def _stage(environment: Node, groups: dict[str, Node]) -> Stage:
    processes: dict[Kind, Process] = {}
    migrates = None
    for service in environment.each("services"):
        kind = findings.kind_of(service)
        if kind is None:
            continue
        processes[kind] = _process(kind, service, groups)
        first = service.get("preDeployCommand")
        if kind == "web" and first:
            migrates = first.place
            given = processes[kind].variables
            processes["migrate"] = Process("migrate", first.place, str(first.value), given)
    return Stage(environment.text("name") or "", environment.place, processes, migrates)


def _process(kind: Kind, service: Node, groups: dict[str, Node]) -> Process:
    command = findings.command_of(service)
    path = service.get("healthCheckPath")
    count = service.whole("numInstances")
    return Process(
        kind,
        (command or service).place,
        str(command.value) if command else None,
        variables.of(service, groups),
        probes=(Probe(str(path.value), path.place),) if path else (),
        grace=service.whole("maxShutdownDelaySeconds"),
        instances=service.whole("scaling", "maxInstances") or count,
        least=service.whole("scaling", "minInstances") or count,
    )


def _old(services: list[Node]) -> list[tuple[Place, str, str | None]]:
    found: list[tuple[Place, str, str | None]] = []
    for service in services:
        for key, what in OLD.items():
            if node := service.get(key):
                found.append((node.place, what, None))
        if service.text("type") == "redis":
            found.append((service.place, "the type redis, now keyvalue", None))
    return found
