"""An overlay as `kubectl kustomize` builds it, for what ours use; each value knows its line.

What is not read here is refused, or something would be checked that nobody applies. Left out are
names that get a suffix, the namespace and the image: references.py looks at the fields for them.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from posixpath import normpath

from deploy.reading import Node, yaml_documents, yaml_file
from deploy.shell import Failed

NAME = "kustomization.yaml"
FIELDS = {
    "apiVersion": None,
    "kind": None,
    "namespace": None,
    "resources": None,
    "patches": {"path"},
    "images": {"name", "newName", "newTag"},
    "configMapGenerator": {"name", "behavior", "literals"},
}
# Lists of a patch: merged item by item, by this key; or taken as they are.
MERGED = {
    "containers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
}
REPLACED = {"command", "args", "envFrom", "metrics", "policies", "rules", "sources", "tls"}


def build(root: Path, folder: str, inside: tuple[str, ...] = ()) -> list[Node]:
    """All documents, and the kustomizations that they come from. Raises Failed, with its line."""
    folder = normpath(folder)
    file = yaml_file(root, f"{folder}/{NAME}")
    _refuse_unread(file)
    found = [file]
    for each in file.each("resources"):
        path = normpath(f"{folder}/{each.value}")
        if path in (folder, *inside):
            raise Failed(f"{each.place}: {each.value} would be built out of itself")
        if (root / path).is_dir():
            found += build(root, path, (folder, *inside))
        else:
            found += yaml_documents(root, path)
    for each in file.each("configMapGenerator"):
        found = _with_settings(found, each)
    for each in file.each("patches"):
        for patch in yaml_documents(root, normpath(f"{folder}/{each.text('path')}")):
            found = _patched(found, patch)
    return found


def find(documents: list[Node], kind: str, name: str | None) -> Node | None:
    """The document of that kind and name."""
    for each in documents:
        if each.text("kind") == kind and each.text("metadata", "name") == name:
            return each
    return None


def selects(labels: Node | None, pod: Node) -> bool:
    """Whether these labels, of which there are some, are among those of a pod."""
    has = dict(pod.items("metadata", "labels"))
    asked = labels.items() if labels else []
    return bool(asked) and all(
        name in has and has[name].value == each.value for name, each in asked
    )


def _refuse_unread(file: Node) -> None:
    for name, node in file.items():
        if name not in FIELDS:
            raise Failed(f"{node.place}: {name} is nothing that `deploy check` reads")
        if (inner := FIELDS[name]) is not None:
            for each in node.each():
                _refuse_others(name, each, inner)


def _refuse_others(field: str, item: Node, known: Iterable[str]) -> None:
    for name, node in item.items():
        if name not in known:
            raise Failed(f"{node.place}: {name} of {field} is nothing that `deploy check` reads")


def _with_settings(documents: list[Node], generator: Node) -> list[Node]:
    """With the ConfigMap that a generator makes, or merges into the one that is there."""
    made = _config_map(generator)
    behavior = generator.text("behavior") or "create"
    if behavior == "create":
        return [*documents, made]
    if behavior != "merge":
        raise Failed(f"{generator.place}: {behavior} is nothing that `deploy check` reads")
    return _patched(documents, made)


def _config_map(generator: Node) -> Node:
    place = generator.place
    return Node(
        {
            "apiVersion": Node("v1", place),
            "kind": Node("ConfigMap", place),
            "metadata": Node({"name": generator.get("name") or Node(None, place)}, place),
            "data": Node(dict(map(_literal, generator.each("literals"))), place),
        },
        place,
    )


def _literal(literal: Node) -> tuple[str, Node]:
    name, equals, value = str(literal.value).partition("=")
    if not equals:
        raise Failed(f"{literal.place}: {literal.value} is no NAME=value")
    quoted = re.fullmatch(r"""(["'])(.*)\1""", value)
    return name, Node(quoted[2] if quoted else value, literal.place)


def _patched(documents: list[Node], patch: Node) -> list[Node]:
    if not any(_is_same(each, patch) for each in documents):
        kind, name = patch.text("kind"), patch.text("metadata", "name")
        raise Failed(f"{patch.place}: there is no {kind} {name} to patch")
    return [merged(each, patch) if _is_same(each, patch) else each for each in documents]


def _is_same(document: Node, patch: Node) -> bool:
    return all(
        document.text(*path) == patch.text(*path)
        for path in (("apiVersion",), ("kind",), ("metadata", "name"))
    )


def merged(base: Node | None, patch: Node, key: str = "") -> Node:
    """A strategic merge. A mapping keeps the place that it has in the base, a value has the place
    of the patch that gave it. Raises Failed for what is not known to merge as it does there."""
    if isinstance(patch.value, dict):
        return _merged_mapping(base, patch)
    if isinstance(patch.value, list) and key in MERGED:
        return _merged_list(base, patch, MERGED[key])
    if isinstance(patch.value, list) and key not in REPLACED:
        raise Failed(f"{patch.place}: a patch of {key} is nothing that `deploy check` reads")
    return patch


def _merged_mapping(base: Node | None, patch: Node) -> Node:
    found = dict(base.value) if base is not None and isinstance(base.value, dict) else {}
    for key, each in patch.items():
        if key.startswith("$"):
            raise Failed(f"{each.place}: {key} is nothing that `deploy check` reads")
        if each.value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), each, key)
    return Node(found, patch.place if base is None else base.place)


def _merged_list(base: Node | None, patch: Node, key: str) -> Node:
    """What the patch knows of is at the front, as kustomize has it."""
    before = base.each() if base is not None else []
    there = {each.text(key): each for each in before}
    new = [merged(there.get(each.text(key)), each) for each in patch.each()]
    named = {each.text(key) for each in patch.each()}
    rest = [each for each in before if each.text(key) not in named]
    return Node([*new, *rest], patch.place if base is None else base.place)
