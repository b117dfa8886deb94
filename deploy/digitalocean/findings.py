"""What only app specs can have wrong."""

from collections.abc import Iterator
from typing import Any

from deploy.manifest import Finding, Kind
from deploy.reading import Node

PARTS: dict[Kind, str] = {
    "web": "services",
    "worker": "workers",
    "scheduler": "workers",
    "migrate": "jobs",
}
ROUTED = ("services", "static_sites", "functions")
SOURCES = ("git", "github", "gitlab", "bitbucket")


def of(spec: Node) -> Iterator[Finding]:
    for part in sorted({*PARTS.values()}):
        for node in spec.each(part):
            yield from _component(part, node)
    yield from _ingress(spec)
    for node in spec.each("services"):
        yield from _service(node)


def _component(part: str, node: Node) -> Iterator[Finding]:
    name = node.text("name")
    wanted = next((each for kind, each in PARTS.items() if kind == name), part)
    if wanted != part:
        yield Finding("processes", node.place, f"{name} is one of {part}", f"move it to {wanted}")
    if node.get("dockerfile_path") is None and node.get("image") is None:
        yield Finding(
            "processes",
            node.place,
            f"{name} is not built from the Dockerfile: a buildpack would be chosen",
            "dockerfile_path: Dockerfile",
        )


def _ingress(spec: Node) -> Iterator[Finding]:
    """A new app without rules sends all to its one service."""
    rules = spec.each("ingress", "rules")
    there = {node.text("name") for part in ROUTED for node in spec.each(part)}
    for rule in rules:
        name = rule.get("component", "name")
        if name and name.value not in there:
            yield Finding(
                "references",
                name.place,
                f"requests go to {name.value}, and there is no such service",
                "component: { name: web }",
            )
    of_web = [rule for rule in rules if rule.text("component", "name") == "web"]
    if rules and "/" not in [rule.text("match", "path", "prefix") for rule in of_web]:
        place = (spec.get("ingress", "rules") or spec).place
        todo = "match: { path: { prefix: / } } with component: { name: web }"
        yield Finding("references", place, "not all requests go to web", todo)


def _service(node: Node) -> Iterator[Finding]:
    if node.text("name") == "web" and (at := node.get("inactivity_sleep")):
        yield Finding(
            "release", at.place, "web sleeps, and who asks first waits for its start", "remove it"
        )
    if node.text("protocol") == "HTTP2":
        yield Finding(
            "port",
            (node.get("protocol") or node).place,
            "requests come as HTTP/2, and web speaks HTTP/1.1",
            "protocol: HTTP",
        )


def of_all(production: Node, staging: Node, template: Node) -> Iterator[Finding]:
    name = staging.get("name") or staging
    if name.value == production.text("name"):
        yield Finding(
            "references", name.place, f"staging is the app {name.value}, as production", "rename it"
        )
    ours, theirs = _without_source(production.plain()), _without_source(template.plain())
    for key in sorted({*ours, *theirs}):
        if ours.get(key) != theirs.get(key):
            yield Finding(
                "references",
                (template.get(key) or template).place,
                f"{key} is not that of .do/app.yaml, of which this is a copy",
                "make them one, but for the source",
            )


def _without_source(value: Any) -> Any:
    """The button takes a public repository, `git:`; the app one that it may deploy, `github:`."""
    if isinstance(value, dict):
        return {key: _without_source(each) for key, each in value.items() if key not in SOURCES}
    return [_without_source(each) for each in value] if isinstance(value, list) else value
