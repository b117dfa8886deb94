"""From outside to web: who sends requests, or lets them through, and to which port of its pods."""

from collections.abc import Iterator

from deploy.kubernetes.kustomize import find, selects
from deploy.manifest import Finding, Variable
from deploy.reading import Node, Place
from deploy.shell import Failed
from service.settings import Settings

Documents = list[Node]
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def port(pod: Node, container: Node, given: Variable | None, documents: Documents) -> Node | None:
    """The port that requests go to: the first that web does not listen at, if there is one."""
    found = [
        *(_behind(each, pod, documents) for each in _backends(documents)),
        *_let_in(pod, documents),
        *_own(container),
    ]
    ports = [number(container, each) for each in found]
    listens = given.value if given else str(Settings.model_fields["port"].default)
    wrong = [each for each in ports if str(each.value) != listens]
    return next(iter([*wrong, *ports]), None)


def _backends(documents: Documents) -> list[tuple[Node, Node | None]]:
    """What Ingress and HTTPRoute name: a Service, and the port of it."""
    found = []
    for rule in _rules(documents, "Ingress"):
        for path in rule.each("http", "paths"):
            if service := path.get("backend", "service"):
                named = service.get("port", "name") or service.get("port", "number")
                found.append((service, named))
    for rule in _rules(documents, "HTTPRoute"):
        found += [(each, each.get("port")) for each in rule.each("backendRefs")]
    return found


def _rules(documents: Documents, kind: str) -> list[Node]:
    found = [each for each in documents if each.text("kind") == kind]
    return [rule for each in found for rule in each.each("spec", "rules")]


def _behind(backend: tuple[Node, Node | None], pod: Node, documents: Documents) -> Node:
    """Where a Service sends what it gets: nowhere, if it has no such port. Raises Failed if that
    is not web."""
    named, wanted = backend
    name = named.text("name")
    service = find(documents, "Service", name)
    if service is None:
        raise Failed(f"{named.place}: there is no Service {name}")
    if not selects(service.get("spec", "selector"), pod):
        raise Failed(f"{service.place}: the Service {name} does not select the pods of web")
    for each in service.each("spec", "ports"):
        if wanted and str(wanted.value) in (each.text("name"), each.text("port")):
            return each.get("targetPort") or each.get("port") or each
    at = wanted or named
    return Node(f"{name}:{wanted.value if wanted else None}", at.place)


def _own(container: Node) -> list[Node]:
    """The container's, if it has a single one, for a second one may be for something else; and
    those of probes that are no Probe, for they have no path."""
    named = [each.get("containerPort") for each in container.each("ports")]
    probed = [container.get(probe, "tcpSocket", "port") for probe in PROBES]
    found = [*(named if len(named) == 1 else []), *probed]
    return [each for each in found if each is not None]


def sent(stage: str, place: Place, documents: Documents) -> Iterator[Finding]:
    """Somebody from outside sends requests."""
    if not _backends(documents):
        what = f"nothing sends requests to web of {stage}"
        yield Finding("port", place, what, "an Ingress or an HTTPRoute with web as its backend")


def _let_in(pod: Node, documents: Documents) -> list[Node]:
    """The ports of the policies that let requests in to web."""
    found = []
    for policy in (each for each in documents if each.text("kind") == "NetworkPolicy"):
        if selects(policy.get("spec", "podSelector", "matchLabels"), pod):
            for rule in policy.each("spec", "ingress"):
                found += [each for one in rule.each("ports") if (each := one.get("port"))]
    return found


def number(container: Node, port: Node) -> Node:
    """A port by its number; as it is, if it is a name that the container has not."""
    for each in container.each("ports"):
        if each.text("name") == str(port.value):
            return each.get("containerPort") or port
    return port
