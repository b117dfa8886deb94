"""service.yaml, worker.yaml, scheduler.yaml and migrate.yaml of each stage."""

from pathlib import Path

from deploy.cloudrun import findings
from deploy.manifest import Finding, Kind, Manifest, Platform, Probe, Process, Stage, Variable
from deploy.reading import Node, Place, commands, first_of, yaml_file
from deploy.shell import Failed

PLATFORM = Platform(
    name="cloudrun",
    grace=10,
    grace_most=10,
    sets={"K_SERVICE": None, "K_REVISION": None, "K_CONFIGURATION": None},
    hops=1,
    silent={
        "python": "it builds the Dockerfile",
        "deprecated": "no form of ours is",
    },
)
FOLDER = "deploy/cloudrun"
FILES: dict[Kind, str] = {
    "web": "service.yaml",
    "worker": "worker.yaml",
    "scheduler": "scheduler.yaml",
    "migrate": "migrate.yaml",
}
PORT = 8080  # where requests go if containerPort is not there
MOST = 100  # instances of a service without maxScale
SCALE = "autoscaling.knative.dev/"


def read_manifest(root: Path) -> Manifest:
    """Raises Failed if a file is not there or does not parse."""
    stages, schemas = [], []
    found: list[Finding] = []
    first = _migrates(commands(root, f"{FOLDER}/README.md", "Each deploy"))
    for stage in ("production", "staging"):
        files = {kind: yaml_file(root, f"{FOLDER}/{stage}/{name}") for kind, name in FILES.items()}
        processes = {kind: _process(kind, file) for kind, file in files.items()}
        found += findings.of(stage, files)
        # Of worker pools there is no published schema.
        schemas += [("cloud-run-v1.schema.json", files[kind]) for kind in ("web", "migrate")]
        place = Place(f"{FOLDER}/{stage}/service.yaml", 1)
        stages.append(Stage(stage, place, processes, first))
    return Manifest(PLATFORM, tuple(stages), schemas=tuple(schemas), findings=tuple(found))


def _migrates(order: list[Node]) -> Place | None:
    """The job gets the new image, runs to its end, and only then the service gets it."""
    if first_of(order, "jobs replace", "jobs execute") is None:
        return None
    return first_of(order, f"jobs execute {findings.APP}-migrate --wait", "services replace")


def _process(kind: Kind, file: Node) -> Process:
    container = findings.container(kind, file)
    command = container.get("command")
    port = container.whole("ports", 0, "containerPort") or Node(PORT, container.place)
    variables = {
        name: _variable(name, each) for each in container.each("env") if (name := each.text("name"))
    }
    variables.setdefault("PORT", Variable("PORT", port.place, str(port.value)))
    least, most = _instances(kind, file)
    return Process(
        kind,
        (command or container).place,
        " ".join(_words(command) + _words(container.get("args"))) if command else None,
        variables,
        probes=_probes(container),
        port=port,
        instances=most,
        least=least,
    )


def _words(node: Node | None) -> list[str]:
    if node is None:
        return []
    if not isinstance(node.value, list):
        raise Failed(f"{node.place}: a list of words is expected, such as [python, -m, service]")
    return [str(word.value) for word in node.value]


def _variable(name: str, node: Node) -> Variable:
    secret = node.text("valueFrom", "secretKeyRef", "name")
    return Variable(
        name,
        node.place,
        node.text("value"),
        by_hand=node.get("valueFrom") is not None,
        refers=f"the secret {secret}" if secret else None,
    )


def _instances(kind: Kind, file: Node) -> tuple[Node | None, Node | None]:
    """The fewest and the most. A number that is set by hand stands above both."""
    own = ("metadata", "annotations")
    by_hand = file.whole(*own, "run.googleapis.com/manualInstanceCount")
    if by_hand or kind != "web":
        return by_hand, by_hand
    template = ("spec", "template", *own)
    least = file.whole(*template, f"{SCALE}minScale") or file.whole(
        *own, "run.googleapis.com/minScale"
    )
    most = file.whole(*template, f"{SCALE}maxScale")
    return least or Node(0, file.place), most or Node(MOST, file.place)


def _probes(container: Node) -> tuple[Probe, ...]:
    found = []
    for key, stops in (("startupProbe", False), ("livenessProbe", True)):
        if path := container.get(key, "httpGet", "path"):
            port = container.whole(key, "httpGet", "port")
            found.append(Probe(str(path.value), path.place, stops, port))
    return tuple(found)
