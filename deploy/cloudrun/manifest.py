"""service.yaml, worker.yaml, scheduler.yaml and migrate.yaml of each stage."""

from pathlib import Path

from deploy.manifest import Kind, Manifest, Platform, Probe, Process, Stage, Variable
from deploy.reading import Node, Place, commands, first_of, yaml_file

PLATFORM = Platform(
    name="cloudrun",
    grace=10,
    grace_most=10,
    sets={"K_SERVICE": None, "K_REVISION": None, "K_CONFIGURATION": None},
    hops=1,
)
FOLDER = "deploy/cloudrun"
FILES: dict[Kind, str] = {
    "web": "service.yaml",
    "worker": "worker.yaml",
    "scheduler": "scheduler.yaml",
    "migrate": "migrate.yaml",
}


def read_manifest(root: Path) -> Manifest:
    """Raises Failed if a file is not there or does not parse."""
    stages, schemas = [], []
    for stage in ("production", "staging"):
        processes: dict[Kind, Process] = {}
        for kind, name in FILES.items():
            file = yaml_file(root, f"{FOLDER}/{stage}/{name}")
            processes[kind] = _process(kind, file)
            if kind in ("web", "migrate"):  # of worker pools there is no published schema
                schemas.append(("cloud-run-v1.schema.json", file))
        place = Place(f"{FOLDER}/{stage}/service.yaml", 1)
        order = commands(root, f"{FOLDER}/README.md", "Each deploy")
        first = first_of(order, "jobs execute slipway-migrate --wait", "services replace")
        stages.append(Stage(stage, place, processes, first))
    return Manifest(PLATFORM, tuple(stages), schemas=tuple(schemas))


def _process(kind: Kind, file: Node) -> Process:
    inner: tuple[str, ...] = ("spec", "template", "spec")
    if kind == "migrate":
        inner = (*inner, "template", "spec")
    container = file.get(*inner, "containers", 0) or file
    command = container.get("command")
    port = container.get("ports", 0, "containerPort")
    variables = {
        name: Variable(
            name, each.place, each.text("value"), by_hand=each.get("valueFrom") is not None
        )
        for each in container.each("env")
        if (name := each.text("name"))
    }
    if port:
        variables.setdefault("PORT", Variable("PORT", port.place, str(port.value)))
    return Process(
        kind,
        (command or container).place,
        " ".join(str(word.value) for word in command.value) if command else None,
        variables,
        probes=_probes(container),
        port=port,
        instances=_most(file),
    )


def _most(file: Node) -> Node | None:
    notes = ("spec", "template", "metadata", "annotations")
    found = file.get(*notes, "autoscaling.knative.dev/maxScale")
    return Node(int(found.value), found.place) if found else None


def _probes(container: Node) -> tuple[Probe, ...]:
    found = []
    for key, stops in (("startupProbe", False), ("livenessProbe", True)):
        if path := container.get(key, "httpGet", "path"):
            found.append(Probe(str(path.value), path.place, stops))
    return tuple(found)
