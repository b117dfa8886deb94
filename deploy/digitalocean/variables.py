"""The variables of an app spec, and what they refer to.

https://docs.digitalocean.com/products/app-platform/how-to/use-environment-variables/
"""

import re
from collections.abc import Iterator

from deploy.manifest import Finding, Variable
from deploy.reading import Node

COMPONENTS = ("services", "workers", "jobs", "static_sites", "functions")
REFERENCE = re.compile(r"\$\{([A-Za-z_][\w-]*)(?:\.([\w.-]+))?\}")
OF_APP = ("APP_DOMAIN", "APP_URL", "APP_ID")
OF_DATABASE = (
    *("DATABASE_URL", "HOSTNAME", "PORT", "USERNAME", "PASSWORD", "DATABASE", "CA_CERT"),
    "DATABASE_PRIVATE_URL",
)
ADDRESSES = ("DATABASE_URL", "DATABASE_PRIVATE_URL")  # the others are a part of one
ENGINES = {"DATABASE_URL": ("PG",), "REDIS_URL": ("VALKEY", "REDIS")}


def of(spec: Node, component: Node, port: Node | None) -> dict[str, Variable]:
    """Those of the app, of a component, and PORT, which is set to http_port."""
    found = {}
    if port:
        found["PORT"] = Variable("PORT", port.place, str(port.value))
    for each in (*spec.each("envs"), *component.each("envs")):
        if each.text("scope") != "BUILD_TIME":
            found[each.text("key") or ""] = _variable(spec, each)
    return found


def _variable(spec: Node, node: Node) -> Variable:
    value = node.text("value")
    elsewhere = value is not None and "${" in value
    return Variable(
        node.text("key") or "",
        node.place,
        None if elsewhere else value,
        by_hand=value is None,
        refers=_cluster(spec, value) if elsewhere else None,
    )


def _cluster(spec: Node, value: str | None) -> str | None:
    found = REFERENCE.search(value or "")
    database = _named(spec, "databases", found[1]) if found else None
    name = database.text("cluster_name") if database else None
    return f"the cluster {name}" if name else None


def _named(spec: Node, part: str, name: str) -> Node | None:
    return next((each for each in spec.each(part) if each.text("name") == name), None)


def wrong(spec: Node) -> Iterator[Finding]:
    components = [each for part in COMPONENTS for each in spec.each(part)]
    for owner in (spec, *components):
        for each in owner.each("envs"):
            yield from _given(each)
            yield from _leads(spec, each, of_app=owner is spec)


def _given(node: Node) -> Iterator[Finding]:
    name = node.text("key")
    if node.text("scope") == "BUILD_TIME":
        yield Finding(
            "variables",
            node.place,
            f"{name} is there while the image is built, and not as it runs",
            "scope: RUN_TIME",
        )
    if node.text("value") is None and node.text("type") != "SECRET":
        yield Finding(
            "variables",
            node.place,
            f"{name} has no value, and is no secret that gets one later",
            "give it a value, or `type: SECRET` for `python -m deploy env digitalocean`",
        )


def _leads(spec: Node, node: Node, *, of_app: bool) -> Iterator[Finding]:
    value = node.text("value") or ""
    at = node.get("value") or node
    if value.count("${") != len(REFERENCE.findall(value)):
        yield Finding("references", at.place, f"{value} is no reference", "${name.PROPERTY}")
    alone = REFERENCE.fullmatch(value)
    if alone and node.text("key") in ENGINES and (alone[2] or "").split(".")[-1] not in ADDRESSES:
        said = f"{node.text('key')} is {value}, which is no address"
        yield Finding("references", at.place, said, "${name.DATABASE_URL}")
    for name, inside in REFERENCE.findall(value):
        if problem := _problem(spec, node.text("key") or "", name, inside, of_app=of_app):
            yield Finding("references", at.place, f"${{{name}.{inside}}} {problem[0]}", problem[1])


def _problem(
    spec: Node, key: str, name: str, inside: str, *, of_app: bool
) -> tuple[str, str] | None:
    """What is wrong with a reference, and what to do; None if it leads somewhere."""
    if name == "_self":
        said = "is of no component: it stays as it is written", "move it to each component"
        return said if of_app else None
    if not inside:
        there = name in OF_APP
        return None if there else ("is nothing of an app", f"one of {', '.join(OF_APP)}")
    if key not in ENGINES and any(_named(spec, part, name) for part in COMPONENTS):
        return None
    database = _named(spec, "databases", name)
    if database is None:
        return "leads to no database of this app", "add it to `databases`, or correct the name"
    if inside.split(".")[-1] not in OF_DATABASE:
        return "is nothing of a database", f"one of {', '.join(OF_DATABASE)}"
    if database.text("engine") not in ENGINES.get(key, (database.text("engine"),)):
        return f"is of {database.text('engine')}", f"refer to one of {ENGINES[key][0]}"
    return None
