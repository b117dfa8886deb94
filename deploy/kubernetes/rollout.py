"""What of a rollout loses requests or jobs, and which probes end who is well."""

import re
import shlex
from collections.abc import Iterator

from deploy.kubernetes.references import container
from deploy.kubernetes.routes import PROBES
from deploy.manifest import Finding, Kind
from deploy.reading import Node
from deploy.shell import Failed

ANSWERS = 3  # seconds: /health/ready answers within 2, whatever is down
STARTS = 10  # seconds: each exec probe starts a Python, where the CPU is short
LISTS = 5  # seconds until everybody has a pod off the list of those that get requests


def whole(node: Node, *path: str | int) -> Node | None:
    """The API takes no number that is written as text. Raises Failed."""
    found = node.get(*path)
    if found is None or found.value is None:
        return None
    if type(found.value) is not int or found.value < 0:
        raise Failed(f"{found.place}: {path[-1]} is {found.value!r}, and must be a whole number")
    return found


def look(stage: str, kind: Kind, document: Node, documents: list[Node]) -> Iterator[Finding]:
    pod = document.get("spec", "template") or document
    held = container(kind, pod) or pod
    yield from _probes(stage, kind, held)
    if kind == "web":
        yield from _drains(stage, held)
        yield from _stays(stage, document)
        yield from _scaled(stage, document, documents)
        yield from _evicted(stage, document, documents)
    if kind == "migrate":
        yield from _job(stage, document)


def checks(held: Node) -> tuple[Node, ...]:
    """The commands of the probes, as one types them."""
    found = [held.get(probe, "exec", "command") for probe in PROBES]
    return tuple(
        Node(shlex.join(str(word.value) for word in each.each()), each.place)
        for each in found
        if each is not None
    )


def _probes(stage: str, kind: Kind, held: Node) -> Iterator[Finding]:
    for check in checks(held):
        if not re.match(r"python3? -m service healthcheck\b", check.value):
            what = f"{check.value!r} does not ask {kind} of {stage}"
            todo = f"python -m service healthcheck {kind}"
            yield Finding("health", check.place, what, todo)
    for probe in PROBES:
        asked = held.get(probe)
        if asked is None:
            continue
        waits = whole(asked, "timeoutSeconds")
        seconds = waits.value if waits else 1
        needs = STARTS if asked.get("exec") else ANSWERS if probe == "readinessProbe" else 1
        if seconds < needs:
            what = f"{probe} of {kind} of {stage} waits {seconds} s, and may need longer"
            at = waits or asked
            yield Finding("health", at.place, what, f"timeoutSeconds: {needs} at least")


def _drains(stage: str, held: Node) -> Iterator[Finding]:
    sleeps = whole(held, "lifecycle", "preStop", "sleep", "seconds")
    if sleeps is None or sleeps.value < LISTS:
        what = f"web of {stage} is told to go while requests still come in"
        todo = f"lifecycle: {{ preStop: {{ sleep: {{ seconds: 10 }} }} }}; {LISTS} at least"
        yield Finding("release", (sleeps or held).place, what, todo)


def _stays(stage: str, document: Node) -> Iterator[Finding]:
    """A rollout takes no web away before the next one is ready."""
    strategy = document.get("spec", "strategy") or document
    gone = strategy.get("rollingUpdate", "maxUnavailable")
    if strategy.text("type") == "Recreate":
        what = f"a rollout ends all web of {stage} first"
    elif gone is None or str(gone.value) not in ("0", "0%"):
        given = gone.value if gone else "25%, which is the default,"
        what = f"a rollout takes {given} of web of {stage} away before the next one is ready"
    else:
        return
    todo = "strategy: { type: RollingUpdate, rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } }"
    yield Finding("release", (gone or strategy).place, what, todo)


def _scaled(stage: str, document: Node, documents: list[Node]) -> Iterator[Finding]:
    said = document.get("spec", "replicas")
    if said is not None and scaler("web", documents) is not None:
        what = f"each apply sets web of {stage} to {said.value}, whatever the autoscaler has made"
        yield Finding("release", said.place, what, "leave out replicas")


def scaler(kind: Kind, documents: list[Node]) -> Node | None:
    for each in documents:
        target = each.text("spec", "scaleTargetRef", "name")
        if each.text("kind") == "HorizontalPodAutoscaler" and target == kind:
            return each
    return None


def _evicted(stage: str, document: Node, documents: list[Node]) -> Iterator[Finding]:
    """A node that is emptied takes not all of them at once."""
    hpa = scaler("web", documents)
    least = whole(hpa, "spec", "minReplicas") if hpa else whole(document, "spec", "replicas")
    pods = max(least.value if least else 1, 2)
    for each in documents:
        gone = each.get("spec", "maxUnavailable")
        selects = each.text("spec", "selector", "matchLabels", "app.kubernetes.io/component")
        if each.text("kind") != "PodDisruptionBudget" or selects != "web" or gone is None:
            continue
        share = re.fullmatch(r"(\d{1,3})%", str(gone.value))
        # Kubernetes rounds up what a budget may take.
        taken = -(-pods * int(share[1]) // 100) if share else _number(gone)
        if taken >= pods:
            what = f"all web of {stage} may be evicted at once: {gone.value}"
            yield Finding("release", gone.place, what, "maxUnavailable: 1")


def _number(node: Node) -> int:
    found = whole(Node({"maxUnavailable": node}, node.place), "maxUnavailable")
    return int(found.value) if found else 0


def _job(stage: str, document: Node) -> Iterator[Finding]:
    suspended = document.get("spec", "suspend")
    if suspended is not None and suspended.value is not False:
        what = f"migrate of {stage} is suspended, and never runs"
        yield Finding("release", suspended.place, what, "leave out suspend")
    name = document.get("metadata", "name")
    if name is not None and "SHA" not in str(name.value):
        what = f"the Job {name.value} of {stage} is that of each release, and cannot be changed"
        yield Finding("release", name.place, what, "name: migrate-SHA")
