"""base/ and overlays/<stage>/, as kustomize puts them together; the order of a deploy: README."""

from collections.abc import Iterator
from pathlib import Path

from deploy.kubernetes import kustomize, references, rollout, routes
from deploy.manifest import (
    KINDS,
    Finding,
    Kind,
    Manifest,
    Platform,
    Probe,
    Process,
    Stage,
    Variable,
)
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
    silent={"python": "it builds the Dockerfile"},
)
FOLDER = "deploy/kubernetes"
KUSTOMIZATION, DOCUMENT = "kustomization.schema.json", "kubernetes-1.34.schema.json"
# What is applied before the migration: all but what serves and works.
BEFORE = "app.kubernetes.io/component notin (web,worker,scheduler)"
RETIRED = "nginx.ingress.kubernetes.io/"


def read_manifest(root: Path) -> Manifest:
    """Raises Failed if a file is not there, does not parse, or is not understood."""
    order = commands(root, f"{FOLDER}/README.md", "Each deploy")
    stages: list[Stage] = []
    schemas: list[tuple[str, Node]] = []
    old: list[tuple[Place, str, str | None]] = []
    findings: list[Finding] = []
    for name in ("production", "staging"):
        documents = kustomize.build(root, f"{FOLDER}/overlays/{name}")
        stages.append(stage(name, documents, order))
        schemas += _schemas(documents)
        old += _old(documents)
        findings += _findings(name, documents)
    return Manifest(
        PLATFORM,
        tuple(stages),
        deprecated=tuple(old),
        schemas=tuple(schemas),
        findings=tuple(findings),
    )


def stage(name: str, documents: list[Node], order: list[Node]) -> Stage:
    """A stage, of all documents that are applied."""
    processes: dict[Kind, Process] = {}
    first = None
    for kind, document in _of_kinds(documents).items():
        processes[kind] = _process(kind, document, documents)
    if "migrate" in processes:
        first = _migrates_first(order)
    return Stage(name, documents[0].place, processes, first)


def _findings(name: str, documents: list[Node]) -> Iterator[Finding]:
    found = _of_kinds(documents)
    pods = {kind: pod for kind, each in found.items() if (pod := each.get("spec", "template"))}
    yield from references.look(name, documents, pods)
    yield from references.images(name, pods)
    yield from routes.sent(name, documents[0].place, documents)
    if "web" in pods:
        yield from references.let_in(name, pods["web"], documents)
    for kind, document in found.items():
        yield from rollout.look(name, kind, document, documents)


def _of_kinds(documents: list[Node]) -> dict[Kind, Node]:
    return {kind: each for kind in KINDS for each in documents if _is(each, kind)}


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
    container = references.container(kind, pod) if pod else None
    if pod is None or container is None:
        raise Failed(f"{document.place}: {kind} has no container")
    words = [*container.each("command"), *container.each("args")]
    variables = _variables(container, documents)
    least, most = _counts(kind, document, documents)
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
        grace=rollout.whole(pod, "spec", "terminationGracePeriodSeconds"),
        drain=_drain(container),
        instances=most,
        least=least,
        checks=rollout.checks(container),
    )


def _variables(container: Node, documents: list[Node]) -> dict[str, Variable]:
    """A ConfigMap's settings, and what `env` has, which goes before them."""
    namespace = documents[0].text("namespace")
    found: dict[str, Variable] = {}
    for source in container.each("envFrom"):
        held = _held(source, documents)
        found |= {name: Variable(name, each.place, str(each.value)) for name, each in held}
    for each in container.each("env"):
        name, value = each.text("name") or "", each.text("value")
        secret = each.get("valueFrom", "secretKeyRef")
        value = value or _referred(each, documents)
        by_hand = secret is not None and value is None
        refers = f"{namespace}/{secret.text('name')}/{secret.text('key')}" if secret else None
        found[name] = Variable(name, each.place, value, by_hand=by_hand, refers=refers)
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
        named = container.get(key, "httpGet", "port")
        port = routes.number(container, named) if named else None
        if path := container.get(key, "httpGet", "path"):
            stops = key != "readinessProbe"
            found.append(Probe(str(path.value), path.place, stops=stops, port=port))
    return tuple(found)


def _drain(container: Node) -> float:
    """Seconds before SIGTERM. Raises Failed for a preStop whose time nobody knows."""
    before = container.get("lifecycle", "preStop")
    if before is None:
        return 0
    seconds = rollout.whole(before, "sleep", "seconds")
    if seconds is None:
        raise Failed(f"{before.place}: a preStop that is no sleep: how long does it take?")
    return float(seconds.value)


def _counts(kind: Kind, document: Node, documents: list[Node]) -> tuple[Node | None, Node | None]:
    """The least and the most: the autoscaler's, else the replicas; of a Job, what runs at once.
    Raises Failed for an autoscaler that scales nothing."""
    for each in documents:
        if each.text("kind") == "HorizontalPodAutoscaler":
            target = each.text("spec", "scaleTargetRef", "name")
            if kustomize.find(documents, "Deployment", target) is None:
                raise Failed(f"{each.place}: there is no Deployment {target} to scale")
    key = "parallelism" if kind == "migrate" else "replicas"
    found = rollout.whole(document, "spec", key)
    scaler = rollout.scaler(kind, documents)
    if scaler is None:
        return found, found
    least, most = (rollout.whole(scaler, "spec", name) for name in ("minReplicas", "maxReplicas"))
    # An autoscaler does not wake up what has 0.
    return found if found is not None and found.value == 0 else least, most


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
