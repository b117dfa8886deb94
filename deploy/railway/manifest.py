""".railway/railway.py, as Railway's CLI understands it."""

import re
from math import inf
from pathlib import Path

from deploy.manifest import LASTING, Kind, Manifest, Platform, Probe, Process, Stage, Variable
from deploy.railway.findings import look
from deploy.railway.project import PATIENCE, read_project
from deploy.reading import Node, Place, commands

PLATFORM = Platform(
    name="railway",
    grace=0,  # it kills at once unless it is told otherwise
    grace_most=inf,  # no limit is documented
    sets={"PORT": None, "RAILWAY_GIT_COMMIT_SHA": None},
    hops=2,  # X-Forwarded-For is CLIENT, EDGE; what the client sent in it is dropped
    idle=60,
    answers_within=900,
    connections=97,  # PostgreSQL's own default: 100, 3 of them reserved
    silent={
        "python": "it builds the Dockerfile",
        "deprecated": "the old forms are files of their own, which `collisions` finds",
    },
)
PAGE = "deploy/railway/README.md"


def read_manifest(root: Path, patience: float = PATIENCE) -> Manifest:
    """Raises Failed if the file is not there, cannot be evaluated, or is what the CLI refuses."""
    project = read_project(root, ("production", "staging"), patience)
    domain = _domain(root)
    stages = [
        _stage(name, project.place, each, domain) for name, each in project.environments.items()
    ]
    nodes = [node for each in project.environments.values() for node in each]
    parts = [
        {key: each for key, each in node.items() if key in ("build", "deploy")} for node in nodes
    ]
    schemas = [Node(part, node.place) for part, node in zip(parts, nodes, strict=True) if part]
    return Manifest(
        platform=PLATFORM,
        stages=tuple(stages),
        schemas=tuple(("railway.schema.json", each) for each in schemas),
        findings=tuple(
            each for name, some in project.environments.items() for each in look(name, some, domain)
        ),
    )


def _domain(root: Path) -> Node | None:
    """The port that the page makes the domain with: the file has none for one of Railway's."""
    if not (root / PAGE).is_file():
        return None
    for line in commands(root, PAGE, "First deploy"):
        if found := re.search(r"railway domain .*--port (\S+)", str(line.value)):
            return Node(found[1], line.place).whole()
    return None


def _stage(name: str, place: Place, nodes: list[Node], domain: Node | None) -> Stage:
    named = {node.text("name"): node for node in nodes if node.text("type") == "service"}
    services = {kind: named[kind] for kind in LASTING if kind in named}
    processes = {
        kind: _process(name, kind, node, domain if kind == "web" else None)
        for kind, node in services.items()
    }
    first = [each for node in services.values() if (each := node.get("deploy", "preDeployCommand"))]
    if first and "web" in processes:
        # Should one of them say something else, that is the one to look at.
        said = next((each for each in first if _command(each) != _command(first[0])), first[0])
        variables = processes["web"].variables
        processes["migrate"] = Process("migrate", said.place, _command(said), variables)
    # They are deployed at the same time: who does not migrate may be first.
    migrates = first[0].place if first and len(first) == len(services) else None
    return Stage(name, place, processes, migrates)


def _process(stage: str, kind: Kind, node: Node, domain: Node | None) -> Process:
    count = _instances(node)
    start = node.get("deploy", "startCommand")
    health = node.get("deploy", "healthcheckPath")
    return Process(
        kind,
        (start or node).place,
        _command(start) if start else None,
        {name: _variable(stage, name, each) for name, each in node.items("variables")},
        probes=(Probe(str(health.value), health.place),) if health else (),
        port=_port(node) or domain,
        grace=node.whole("deploy", "drainingSeconds"),
        instances=count,
        least=count,
    )


def _command(node: Node) -> str:
    """A command before a deploy is a list with one command in it."""
    return " && ".join(str(each.value) for each in node.each()) or str(node.value)


def _variable(stage: str, name: str, node: Node) -> Variable:
    """A literal is written out, unless Railway is to put something in; a raw one is an object of
    Railway's own format."""
    said = node.get("value") if node.text("type") == "raw" else node
    value = said.text("value") if said else None
    made = said is not None and said.get("generator") is not None
    by_hand = node.text("type") == "sharedReference"
    written = None if value and "${{" in value else value
    refers = None
    if by_hand:
        refers = f"the shared variable {node.text('name')} of {stage}"
    elif node.text("type") == "reference":
        refers = f"{node.text('output')} of {node.text('resource')} in {stage}"
    elif value and written is None:
        refers = f"{value} in {stage}"
    return Variable(name, node.place, written, made=made, by_hand=by_hand, refers=refers)


def _port(node: Node) -> Node | None:
    """Where a domain sends requests, of several one that is wrong. Without one in the file, that
    is said elsewhere."""
    domains = [each for _, each in node.items("networking", "customDomains")]
    ports = [port for each in domains if (port := each.whole("port"))]
    listens = node.text("variables", "PORT", "value")
    wrong = [each for each in ports if str(each.value) != listens]
    return next(iter([*wrong, *ports]), None)


def _instances(node: Node) -> Node | None:
    """The replicas in all regions."""
    regions = node.get("deploy", "multiRegionConfig")
    if regions is None:
        return node.whole("deploy", "numReplicas")
    counts = [each.whole("numReplicas") for _, each in regions.items()]
    return Node(sum(1 if each is None else each.value for each in counts), regions.place)
