"""App specs: .do/app.yaml, .do/deploy.template.yaml, app.staging.yaml."""

from pathlib import Path

from deploy.manifest import Kind, Manifest, Platform, Probe, Process, Stage, Variable
from deploy.reading import Node, Place, yaml_file

# PORT is http_port. How many proxies are in front is not confirmed: README.
PLATFORM = Platform(
    name="digitalocean",
    grace=120,
    grace_most=600,
    hops=1,
    connections=47,  # of the smallest managed PostgreSQL with 2 GB: 50, 3 of them reserved
)
FILES = {
    "production": ".do/app.yaml",
    "staging": "deploy/digitalocean/app.staging.yaml",
    "template": ".do/deploy.template.yaml",
}
KINDS: tuple[Kind, ...] = ("web", "worker", "scheduler", "migrate")


def read_manifest(root: Path) -> Manifest:
    """Raises Failed if a file is not there or does not parse."""
    stages, schemas, old = [], [], []
    for stage, name in FILES.items():
        file = yaml_file(root, name)
        spec = file.get("spec") or file
        stages.append(_stage("production" if stage == "template" else stage, spec))
        schemas.append(("digitalocean-app-spec.schema.json", spec))
        old += _old(spec)
    return Manifest(PLATFORM, tuple(stages), deprecated=tuple(old), schemas=tuple(schemas))


def _stage(name: str, spec: Node) -> Stage:
    processes: dict[Kind, Process] = {}
    first = None
    shared = _variables(spec)
    for part in ("services", "workers", "jobs"):
        for node in spec.each(part):
            kind = next((each for each in KINDS if each == node.text("name")), None)
            if kind is None:
                continue
            command = node.get("run_command")
            drain = node.number("termination", "drain_seconds") or 0
            processes[kind] = Process(
                kind,
                (command or node).place,
                str(command.value) if command else None,
                shared | _variables(node) | _port(node),
                probes=_probes(node),
                port=node.get("http_port"),
                grace=_grace(node, drain),
                drain=drain,
                instances=node.get("autoscaling", "max_instance_count")
                or node.get("instance_count"),
            )
            if kind == "migrate" and node.text("kind") == "PRE_DEPLOY":
                first = node.place
    return Stage(name, spec.place, processes, first)


def _grace(node: Node, drain: float) -> Node | None:
    """drain_seconds pass before the signal, grace_period_seconds after it."""
    found = node.get("termination", "grace_period_seconds")
    return Node(found.value + drain, found.place) if found else None


def _port(node: Node) -> dict[str, Variable]:
    port = node.get("http_port")
    return {"PORT": Variable("PORT", port.place, str(port.value))} if port else {}


def _variables(node: Node) -> dict[str, Variable]:
    found = {}
    for each in node.each("envs"):
        name, value = each.text("key") or "", each.text("value")
        if value and "${" in value:
            value = None  # a reference
        secret = each.text("type") == "SECRET" and value is None
        found[name] = Variable(name, each.place, value, by_hand=secret)
    return found


def _probes(node: Node) -> tuple[Probe, ...]:
    found = []
    for key, stops in (("health_check", False), ("liveness_health_check", True)):
        if path := node.get(key, "http_path"):
            found.append(Probe(str(path.value), path.place, stops))
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
