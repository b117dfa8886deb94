"""What only Railway's project can have wrong: where references lead, and what a release loses."""

import re
from collections.abc import Iterator

from deploy.manifest import Finding
from deploy.reading import Node

ENGINES = {"DATABASE_URL": "postgres", "REDIS_URL": "redis"}  # each gives it by the same name
PROCESSES = ("web", "worker", "scheduler")


def look(stage: str, nodes: list[Node], domain: Node | None) -> Iterator[Finding]:
    """Raises Failed for what should be a number, and is none."""
    for node in nodes:
        if node.text("type") != "service" or node.text("name") not in PROCESSES:
            continue
        for name, each in node.items("variables"):
            if problem := _wrong_reference(name, each, nodes):
                what, todo = problem
                yield Finding(
                    "references", each.place, f"{name} of {stage} {what}", f"refer to {todo}"
                )
        yield from _release(stage, node)
        if node.text("name") == "web":
            yield from _overlap(stage, node)
            yield from _port(stage, node, domain)


def _wrong_reference(name: str, given: Node, nodes: list[Node]) -> tuple[str, str] | None:
    """What is wrong with it, and what to refer to. `python -m deploy env` makes shared variables
    by the names of those that refer to them."""
    kind = given.text("type")
    if kind == "sharedReference" and given.text("name") != name:
        return f"is the shared variable {given.text('name')}, which nobody makes", (
            f"ctx.shared.{name}"
        )
    if kind == "reference":
        resource = next((n for n in nodes if n.text("address") == given.text("resource")), None)
        return _wrong_source(name, resource, str(given.text("output")))
    for owner, output in re.findall(r"\$\{\{\s*(?:([^}.]+)\.)?([^}]+?)\s*\}\}", _template(given)):
        if owner == "shared":
            wrong = output != name
            found = (f"is the shared variable {output}, which nobody makes", f"shared.{name}")
            problem = found if wrong else None
        elif owner:
            resource = next((n for n in nodes if n.text("name") == owner.strip()), None)
            problem = _wrong_source(name, resource, output)
        else:
            problem = None
        if problem:
            return problem
    return None


def _template(given: Node) -> str:
    said = given.get("value") if given.text("type") == "raw" else given
    return (said.text("value") or "") if said else ""


def _wrong_source(name: str, resource: Node | None, output: str) -> tuple[str, str] | None:
    if resource is None:
        return "is of something that is not in the project", "one of its resources"
    engine = ENGINES.get(name)
    if engine and (resource.text("engine") != engine or output != name):
        return f"is {output} of {resource.text('name')}", f"{name} of its {engine}"
    named = {key for key, _ in resource.items("variables")}
    own = resource.text("type") == "service" and not output.startswith("RAILWAY_")
    if own and output not in named:
        return f"is {output} of {resource.text('name')}, which has none", "one that it has"
    return None


def _release(stage: str, node: Node) -> Iterator[Finding]:
    """Each runs all the time, and is started again."""
    wrong = {
        "sleepApplication": ("sleeps when nobody asks", "leave it out"),
        "cronSchedule": ("runs at times, and not between them", "leave it out"),
        "restartPolicyType": ("is not started again", "ALWAYS"),
    }
    for key, (what, todo) in wrong.items():
        given = node.get("deploy", key)
        if given is None or not given.value:
            continue
        if key == "restartPolicyType" and given.value != "NEVER":
            continue
        yield Finding("release", given.place, f"{node.text('name')} of {stage} {what}", todo)


def _overlap(stage: str, node: Node) -> Iterator[Finding]:
    """By default the old web goes at once, while the edge still sends requests to it."""
    given = node.whole("deploy", "overlapSeconds")
    if given is None or given.value < 1:
        yield Finding(
            "release",
            (given or node).place,
            f"the old web of {stage} goes before the edge knows of the new one",
            '"overlapSeconds": 20',
        )


def _port(stage: str, node: Node, domain: Node | None) -> Iterator[Finding]:
    """Railway's own PORT is any, and a domain has one."""
    named = bool(node.items("networking", "customDomains")) or domain is not None
    if named and node.get("variables", "PORT") is None:
        yield Finding(
            "port",
            node.place,
            f"web of {stage} has no PORT: where it listens is not where its domain sends requests",
            "PORT, with the port of the domain",
        )
