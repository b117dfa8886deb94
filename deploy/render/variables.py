"""The variables of a Blueprint's services, and what they refer to."""

from collections.abc import Iterator

from deploy.manifest import Finding, Variable
from deploy.reading import Node

REDIS = ("keyvalue", "redis")  # of old, redis
# What holds the whole address: of a database, its name or host alone would be no URL.
WHOLE = "connectionString"
URLS = {"DATABASE_URL": "fromDatabase", "REDIS_URL": "fromService"}


def groups(*owners: Node) -> dict[str, Node]:
    """Those of the file, a project and an environment."""
    return {
        each.text("name") or "": each for owner in owners for each in owner.each("envVarGroups")
    }


def of(service: Node, groups: dict[str, Node]) -> dict[str, Variable]:
    found: dict[str, Variable] = {}
    for node in service.each("envVars"):
        if group := node.text("fromGroup"):
            inner = groups[group].each("envVars") if group in groups else []
            found |= {each.name: each for each in (_variable(one, group) for one in inner)}
        else:
            each = _variable(node, None)
            found[each.name] = each
    return found


def _variable(node: Node, group: str | None) -> Variable:
    name = node.text("key") or ""
    made, by_hand = _is(node, "generateValue", True), _is(node, "sync", False)
    refers = f"{name} of the group {group}" if group and (made or by_hand) else None
    for source in ("fromDatabase", "fromService"):
        if there := node.text(source, "name"):
            refers = f"{node.text(source, 'type') or 'the database'} {there}"
    value = node.text("value")
    return Variable(name, node.place, value, made, by_hand and value is None, refers)


def _is(node: Node, key: str, value: bool) -> bool:
    found = node.get(key)
    return found is not None and found.value is value


def wrong(environment: Node, groups: dict[str, Node]) -> Iterator[Finding]:
    used: set[str] = set()
    for service in environment.each("services"):
        for node in service.each("envVars"):
            group = node.get("fromGroup")
            if group is None:
                yield from _leads(environment, node)
            elif (name := str(group.value)) in groups:
                used.add(name)
            else:
                said = f"there is no group {name}"
                yield Finding("references", group.place, said, "add it to envVarGroups")
    for name in sorted(used):
        for node in groups[name].each("envVars"):
            yield from _leads(environment, node)


def _leads(environment: Node, node: Node) -> Iterator[Finding]:
    name = node.text("key")
    comes = node.get("fromDatabase") or node.get("fromService")
    if not (comes or _has_value(node)):
        yield Finding("variables", node.place, f"{name} has no value", "give it one")
    if database := node.get("fromDatabase"):
        there = {each.text("name") for each in environment.each("databases")}
        yield from _is_one_of(database, there, f"database of {environment.text('name')}")
    if service := node.get("fromService"):
        kind = service.text("type")
        kinds = REDIS if kind in REDIS else (kind,)
        there = {
            each.text("name") for each in environment.each("services") if each.text("type") in kinds
        }
        yield from _is_one_of(service, there, f"{kind} of {environment.text('name')}")
    yield from _is_whole(node)


def _is_whole(node: Node) -> Iterator[Finding]:
    """An address is that of a database or of Key Value, all of it."""
    name = node.text("key")
    if source := URLS.get(name or ""):
        at = node.get(source)
        if at and source == "fromService" and at.text("type") not in REDIS:
            said = f"{name} is that of a {at.text('type')}"
            yield Finding("references", at.place, said, "type: keyvalue")
        if at and at.text("property") != WHOLE:
            said = f"{name} is the {at.text('property')} alone"
            yield Finding("references", at.place, said, f"property: {WHOLE}")
        for other in {*URLS.values()} - {source}:
            if wrong := node.get(other):
                said = f"{name} comes {other}"
                yield Finding("references", wrong.place, said, f"{source}: …")


def _has_value(node: Node) -> bool:
    return (
        node.text("value") is not None
        or _is(node, "generateValue", True)
        or _is(node, "sync", False)
    )


def _is_one_of(node: Node, there: set[str | None], what: str) -> Iterator[Finding]:
    if node.text("name") not in there:
        yield Finding(
            "references",
            node.place,
            f"{node.text('name')} is no {what}",
            f"one of {', '.join(sorted(each for each in there if each)) or 'its own: add it'}",
        )
