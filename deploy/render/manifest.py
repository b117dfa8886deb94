"""render.yaml, a Blueprint."""

from pathlib import Path

from deploy.manifest import Kind, Manifest, Platform, Probe, Process, Stage, Variable
from deploy.reading import Node, Place, yaml_file

# PORT is 10000 unless it is set. In front are Cloudflare and Render's own proxy.
PLATFORM = Platform(
    name="render",
    grace=30,
    grace_most=300,
    sets={"PORT": None},
    hops=2,
    connections=97,  # of each plan with less than 8 GB: 100, 3 of them reserved
)
KINDS: tuple[Kind, ...] = ("web", "worker", "scheduler")
OLD = {
    "env": "`env:`, now `runtime:`",
    "autoDeploy": "`autoDeploy:`, now `autoDeployTrigger:`",
    "pullRequestPreviewsEnabled": "`pullRequestPreviewsEnabled:`, now `previews:`",
    "previewPlan": "`previewPlan:`, now `previews.plan:`",
}


def read_manifest(root: Path) -> Manifest:
    """Raises Failed if it is not there or does not parse."""
    file = yaml_file(root, "render.yaml")
    groups = {each.text("name") or "": each for each in file.each("envVarGroups")}
    stages = [
        _stage(each, groups)
        for project in file.each("projects")
        for each in project.each("environments")
    ]
    services = [
        each
        for project in file.each("projects")
        for environment in project.each("environments")
        for each in environment.each("services")
    ]
    return Manifest(
        platform=PLATFORM,
        stages=tuple(stages),
        deprecated=tuple(_old(services)),
        schemas=(("render.schema.json", file),),
    )


def _stage(environment: Node, groups: dict[str, Node]) -> Stage:
    processes: dict[Kind, Process] = {}
    migrates = None
    for service in environment.each("services"):
        command = service.get("dockerCommand") or service.get("startCommand")
        text = str(command.value) if command else None
        kind = next((kind for kind in KINDS if (service.text("name") or "").endswith(kind)), None)
        if kind is None:
            continue
        variables = _variables(service, groups)
        path = service.get("healthCheckPath")
        processes[kind] = Process(
            kind,
            (command or service).place,
            text,
            variables,
            probes=(Probe(str(path.value), path.place),) if path else (),
            grace=service.get("maxShutdownDelaySeconds"),
            instances=service.get("scaling", "maxInstances") or service.get("numInstances"),
        )
        if first := service.get("preDeployCommand"):
            migrates = first.place
            processes["migrate"] = Process("migrate", first.place, str(first.value), variables)
    return Stage(environment.text("name") or "", environment.place, processes, migrates)


def _variables(service: Node, groups: dict[str, Node]) -> dict[str, Variable]:
    found: dict[str, Variable] = {}
    for node in service.each("envVars"):
        if group := node.text("fromGroup"):
            inner = groups[group].each("envVars") if group in groups else []
            found |= {each.name: each for each in map(_variable, inner)}
        else:
            each = _variable(node)
            found[each.name] = each
    return found


def _variable(node: Node) -> Variable:
    return Variable(
        node.text("key") or "",
        node.place,
        node.text("value"),
        made=node.get("generateValue") is not None,
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
