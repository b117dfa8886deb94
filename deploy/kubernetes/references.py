"""What documents call by name: the namespace, the Secret and its keys, the image; and the ports
that the network lets through."""

from collections.abc import Iterator

from deploy.kubernetes.kustomize import selects
from deploy.manifest import KINDS, Finding, Kind
from deploy.reading import Node

SECRET = "slipway"  # noqa: S105  its name: `python -m deploy env kubernetes` makes it
OUT = {"53": "DNS", "5432": "PostgreSQL", "6379": "Redis"}


def namespace(stage: str) -> str:
    return "slipway" if stage == "production" else f"slipway-{stage}"


def look(stage: str, documents: list[Node], pods: dict[Kind, Node]) -> Iterator[Finding]:
    """Of the documents of a stage, of which the first is its overlay's kustomization."""
    said = documents[0].get("namespace")
    if said is None or said.value != namespace(stage):
        what = f"{stage} is in the namespace {said.value if said else None}"
        todo = f"namespace: {namespace(stage)}, where its Secret is made"
        yield _finding((said or documents[0]), what, todo)
    for kind in KINDS:
        if kind in pods:
            yield from _secrets(stage, kind, pods[kind])
            yield from _image(stage, kind, pods[kind], documents[0])
            yield from _let_out(stage, kind, pods[kind], documents)


def container(kind: Kind, pod: Node) -> Node | None:
    """That of its name, else the first one."""
    found = pod.each("spec", "containers")
    return next((each for each in found if each.text("name") == kind), next(iter(found), None))


def _finding(at: Node, what: str, todo: str) -> Finding:
    return Finding("references", at.place, what, todo)


def _secrets(stage: str, kind: Kind, pod: Node) -> Iterator[Finding]:
    """By the name and the keys that `python -m deploy env kubernetes` gives them."""
    held = container(kind, pod)
    for each in held.each("env") if held else []:
        if refers := each.get("valueFrom", "secretKeyRef"):
            variable, name, key = each.text("name"), refers.text("name"), refers.text("key")
            if (name, key) != (SECRET, variable):
                what = f"{variable} of {kind} of {stage} is {key} of the Secret {name}"
                yield _finding(refers, what, f"refer to {variable} of {SECRET}")


def _image(stage: str, kind: Kind, pod: Node, overlay: Node) -> Iterator[Finding]:
    """One image for all, and of the release: the page puts its version in the place of SHA."""
    held = container(kind, pod)
    image = held.get("image") if held else None
    if held is None or image is None:
        if held is not None:
            yield _finding(held, f"{kind} of {stage} has no image", "image: slipway")
        return
    name, _, tag = str(image.value).partition(":")
    named = next((each for each in overlay.each("images") if each.text("name") == name), None)
    if named is None:
        what = f"{kind} of {stage} has the image {image.value}, which its overlay does not name"
        yield _finding(image, what, "make it that of `images` in kustomization.yaml")
    elif (tag := named.text("newTag") or tag) != "SHA":
        what = f"the image of {kind} of {stage} has the tag {tag}: no release would change it"
        yield _finding(named, what, "newTag: SHA")


def images(stage: str, pods: dict[Kind, Node]) -> Iterator[Finding]:
    """Migrations of one image and code of another do not fit."""
    found = {
        kind: each.text("image") for kind, pod in pods.items() if (each := container(kind, pod))
    }
    for kind, image in found.items():
        if image != (wanted := found.get("web", image)):
            what = f"the image of {kind} of {stage} is {image}, that of web {wanted}"
            yield _finding(pods[kind], what, "make them one")


def _let_out(stage: str, kind: Kind, pod: Node, documents: list[Node]) -> Iterator[Finding]:
    policies = [each for each in documents if _closes(each, "Egress", pod)]
    rules = [rule for each in policies for rule in each.each("spec", "egress")]
    for port, whose in OUT.items() if policies else ():
        if not any(_lets(rule, int(port)) for rule in rules):
            what = f"the network lets {kind} of {stage} not out to port {port}, {whose}"
            yield _finding(policies[0], what, f"a policy of Egress with port {port}")


def _closes(document: Node, direction: str, pod: Node) -> bool:
    """Whether it is a policy that lets a pod do in this direction only what it says."""
    if document.text("kind") != "NetworkPolicy":
        return False
    spec = document.get("spec") or document
    labels = spec.get("podSelector", "matchLabels")
    everybody = labels is None and not spec.items("podSelector")
    types = [str(each.value) for each in spec.each("policyTypes")]
    given = direction in types or (not types and spec.get(direction.lower()) is not None)
    return given and (everybody or selects(labels, pod))


def _lets(rule: Node, port: int) -> bool:
    """Through a port by its number, a range, or, without any, all of them."""
    if rule.get("ports") is None:
        return True
    for each in rule.each("ports"):
        first, last = each.get("port"), each.get("endPort")
        if first is None:
            return True
        if type(first.value) is int:
            end = last.value if last and type(last.value) is int else first.value
            if first.value <= port <= end:
                return True
    return False


def let_in(stage: str, pod: Node, documents: list[Node]) -> Iterator[Finding]:
    """Who closes the way in to web must open it for somebody."""
    policies = [each for each in documents if _closes(each, "Ingress", pod)]
    if policies and not any(each.each("spec", "ingress") for each in policies):
        what = f"the network lets nobody in to web of {stage}"
        yield Finding("port", policies[0].place, what, "a policy of Ingress that selects web")
