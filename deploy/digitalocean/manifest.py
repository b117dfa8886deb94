"""App specs: .do/app.yaml, .do/deploy.template.yaml, app.staging.yaml."""

from pathlib import Path

from deploy.digitalocean import findings, variables
from deploy.manifest import Finding, Kind, Manifest, Platform, Probe, Process, Stage
from deploy.reading import Node, Place, yaml_file

# PORT is http_port. How many proxies are in front is not confirmed: README.
PLATFORM = Platform(
    name="digitalocean",
    grace=120,
    grace_most=600,
    hops=1,
    connections=47,  # of the smallest managed PostgreSQL with 2 GB: 50, 3 of them reserved
    silent={"python": "it builds the Dockerfile"},
)
FILES = {
    "production": ".do/app.yaml",
    "staging": "deploy/digitalocean/app.staging.yaml",
    "template": ".do/deploy.template.yaml",
}
PORT = 8080  # of a service without http_port


def read_manifest(root: Path) -> Manifest:
    """Raises Failed if a file is not there or does not parse."""
    stages, old = [], []
    found: list[Finding] = []
    files = {stage: yaml_file(root, name) for stage, name in FILES.items()}
    specs = {stage: file.get("spec") or file for stage, file in files.items()}
    for stage, spec in specs.items():
        name = "production" if stage == "template" else stage
        stages.append(_stage(name, spec))
        found += [*findings.of(spec), *variables.wrong(spec)]
        old += _old(spec)
    found += findings.of_all(specs["production"], specs["staging"], specs["template"])
    schemas = tuple(("digitalocean-app-spec.schema.json", spec) for spec in specs.values())
    return Manifest(PLATFORM, tuple(stages), None, tuple(old), schemas, tuple(found))


def _stage(name: str, spec: Node) -> Stage:
    processes: dict[Kind, Process] = {}
    first = None
    for kind, part in findings.PARTS.items():
        for node in spec.each(part):
            if node.text("name") != kind:
                continue
            processes[kind] = _process(kind, spec, node)
            if kind == "migrate" and node.text("kind") == "PRE_DEPLOY":
                first = node.place
    return Stage(name, spec.place, processes, first)


def _process(kind: Kind, spec: Node, node: Node) -> Process:
    command = node.get("run_command")
    drain = node.whole("termination", "drain_seconds")
    count = node.whole("instance_count")
    port = (node.whole("http_port") or Node(PORT, node.place)) if kind == "web" else None
    return Process(
        kind,
        (command or node).place,
        str(command.value) if command else None,
        variables.of(spec, node, port),
        probes=_probes(node),
        port=port,
        grace=_grace(node, drain.value if drain else 0),
        drain=drain.value if drain else 0,
        instances=node.whole("autoscaling", "max_instance_count") or count,
        least=node.whole("autoscaling", "min_instance_count") or count,
    )


def _grace(node: Node, drain: int) -> Node | None:
    """drain_seconds pass before the signal, grace_period_seconds after it."""
    found = node.whole("termination", "grace_period_seconds")
    return Node(found.value + drain, found.place) if found else None


def _probes(node: Node) -> tuple[Probe, ...]:
    found = []
    for key, stops in (("health_check", False), ("liveness_health_check", True)):
        if path := node.get(key, "http_path"):
            port = node.whole(key, "port")
            found.append(Probe(str(path.value), path.place, stops, port))
    return tuple(found)


def _old(spec: Node) -> list[tuple[Place, str, str | None]]:
    found: list[tuple[Place, str, str | None]] = []
    for node in spec.each("services"):
        if routes := node.get("routes"):
            found.append((routes.place, "`routes:`, now `ingress:`", None))
    for node in spec.each("databases"):
        if node.text("engine") == "REDIS":
            found.append((node.place, "the engine REDIS, now VALKEY", None))
    return found
