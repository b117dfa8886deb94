"""base/ and overlays/<stage>/, as kustomize puts them together; the order of a deploy: README."""

from pathlib import Path

from deploy.kubernetes import kustomize, routes
from deploy.manifest import KINDS, Kind, Manifest, Platform, Probe, Process, Stage, Variable
from deploy.reading import Node, Place, commands, first_of
from deploy.shell import Failed

# Behind one ingress controller, Traefik: what closes connections is its default (README).
PLATFORM = Platform(
    name="kubernetes",
    grace=30,
    grace_most=600,  # that the cluster's autoscaler waits for; a deletion waits for any time
    sets={"KUBERNETES_SERVICE_HOST": None, "KUBERNETES_SERVICE_PORT": None, "HOSTNAME": None},
    hops=1,
    idle=90,
)
FOLDER = "deploy/kubernetes"
KUSTOMIZATION, DOCUMENT = "kustomization.schema.json", "kubernetes-1.34.schema.json"
# What is applied before the migration: all but what serves and works.
BEFORE = "app.kubernetes.io/component notin (web,worker,scheduler)"
RETIRED = "nginx.ingress.kubernetes.io/"


def read_manifest(root: Path) -> Manifest:
    """Raises Failed if a file is not there, does not parse, or is not understood."""
    order = commands(root, f"{FOLDER}/README.md", "Each deploy")
    stages, schemas, old = [], [], []
    for name in ("production", "staging"):
        documents = kustomize.build(root, f"{FOLDER}/overlays/{name}")
        stages.append(stage(name, documents, order))
        schemas += _schemas(documents)
        old += _old(documents)
    return Manifest(PLATFORM, tuple(stages), deprecated=tuple(old), schemas=tuple(schemas))


def stage(name: str, documents: list[Node], order: list[Node]) -> Stage:
    """A stage, of all documents that are applied."""
    processes: dict[Kind, Process] = {}
    first = None
    for kind in KINDS:
        for document in documents:
            if _is(document, kind):
                processes[kind] = _process(kind, document, documents)
    if "migrate" in processes:
        first = _migrates_first(order)
    return Stage(name, documents[0].place, processes, first)


def _is(document: Node, kind: Kind) -> bool:
    """A Deployment by its name; the Job has its release's name behind it."""
    name = document.text("metadata", "name") or ""
    if kind == "migrate":
        return document.text("kind") == "Job" and name.startswith("migrate")
    return document.text("kind") == "Deployment" and name == kind


def _migrates_first(order: list[Node]) -> Place | None:
    """Where the Job is waited for, if it was applied, and nothing that serves was before it."""
    if not any(BEFORE in str(each.value) for each in order):
        return None
    others = [each for each in order if BEFORE not in str(each.value)]
    return first_of(others, "wait --for=condition=complete", "kubectl apply")


def _process(kind: Kind, document: Node, documents: list[Node]) -> Process:
    pod = document.get("spec", "template")
    container = pod.get("spec", "containers", 0) if pod else None
    if pod is None or container is None:
        raise Failed(f"{document.place}: {kind} has no container")
    words = [*container.each("command"), *container.each("args")]
    variables = _variables(container, documents)
    port = None
    if kind == "web":
        port = routes.port(pod, container, variables.get("PORT"), documents)
    return Process(
        kind,
        (container.get("command") or container.get("args") or container).place,
        " ".join(str(word.value) for word in words) or None,
        variables,
        probes=_probes(container),
        port=port,
        grace=pod.get("spec", "terminationGracePeriodSeconds"),
        drain=_drain(container),
        instances=_most(kind, document, documents),
    )


def _variables(container: Node, documents: list[Node]) -> dict[str, Variable]:
    """A ConfigMap's settings, and what `env` has, which goes before them."""
    found: dict[str, Variable] = {}
    for source in container.each("envFrom"):
        held = _held(source, documents)
        found |= {name: Variable(name, each.place, str(each.value)) for name, each in held}
    for each in container.each("env"):
        name, value = each.text("name") or "", each.text("value")
        by_hand = each.get("valueFrom", "secretKeyRef") is not None
        value = value or _referred(each, documents)
        found[name] = Variable(name, each.place, value, by_hand=by_hand and value is None)
    return found


def _held(source: Node, documents: list[Node]) -> list[tuple[str, Node]]:
    """What a ConfigMap holds. Raises Failed for one that is not there, and for a Secret as a
    whole, of which nobody knows what is in it."""
    name = source.text("configMapRef", "name")
    found = kustomize.find(documents, "ConfigMap", name)
    if found is None:
        raise Failed(f"{source.place}: there is no ConfigMap {name} to read")
    return found.items("data")


def _referred(variable: Node, documents: list[Node]) -> str | None:
    """What a reference leads to, if it lies here; a Secret should not."""
    for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
        if reference := variable.get("valueFrom", field):
            key = reference.text("key") or ""
            if held := kustomize.find(documents, kind, reference.text("name")):
                return held.text("stringData", key) or held.text("data", key)
    return None


def _probes(container: Node) -> tuple[Probe, ...]:
    """The startup probe ends who fails it, as liveness does."""
    found = []
    for key in routes.PROBES:
        if path := container.get(key, "httpGet", "path"):
            found.append(Probe(str(path.value), path.place, stops=key != "readinessProbe"))
    return tuple(found)


def _drain(container: Node) -> float:
    """Seconds before SIGTERM. Raises Failed for a preStop whose time nobody knows."""
    before = container.get("lifecycle", "preStop")
    if before is None:
        return 0
    seconds = before.number("sleep", "seconds")
    if seconds is None:
        raise Failed(f"{before.place}: a preStop that is no sleep: how long does it take?")
    return seconds


def _most(kind: Kind, document: Node, documents: list[Node]) -> Node | None:
    """An autoscaler's most, else the replicas. Raises Failed for one that scales nothing."""
    found = document.get("spec", "replicas")
    for each in documents:
        if each.text("kind") == "HorizontalPodAutoscaler":
            target = each.text("spec", "scaleTargetRef", "name")
            if kustomize.find(documents, "Deployment", target) is None:
                raise Failed(f"{each.place}: there is no Deployment {target} to scale")
            if target == kind:
                found = each.get("spec", "maxReplicas")
    return found


def _schemas(documents: list[Node]) -> list[tuple[str, Node]]:
    """Of routes of the Gateway API there is no published schema among ours."""
    return [
        (KUSTOMIZATION if each.text("kind") == "Kustomization" else DOCUMENT, each)
        for each in documents
        if each.text("kind") != "HTTPRoute"
    ]


def _old(documents: list[Node]) -> list[tuple[Place, str, str | None]]:
    found: list[tuple[Place, str, str | None]] = []
    for document in documents:
        for name, node in document.items("metadata", "annotations"):
            if name.startswith(RETIRED):
                found.append((node.place, f"{name}: ingress-nginx is retired", "2026-03-31"))
            if name == "kubernetes.io/ingress.class":
                found.append((node.place, f"{name}, now `ingressClassName`", None))
    return found
