"""What only a Blueprint can have wrong."""

from collections.abc import Iterator, Mapping

from deploy.manifest import Finding, Kind
from deploy.reading import Node

TYPES: Mapping[Kind, str] = {"web": "web", "worker": "worker", "scheduler": "worker"}
REDIS = ("keyvalue", "redis")
BUILT = ("docker", "image")  # runtimes that read dockerCommand; the others, startCommand
MIGRATE = "python -m service migrate"


def kind_of(service: Node) -> Kind | None:
    """slipway-web and slipway-staging-web are web."""
    name = service.text("name") or ""
    return next((kind for kind in TYPES if name == kind or name.endswith(f"-{kind}")), None)


def runtime(service: Node) -> str | None:
    return service.text("runtime") or service.text("env")


def command_of(service: Node) -> Node | None:
    return service.get("dockerCommand" if runtime(service) in BUILT else "startCommand")


def of(environment: Node) -> Iterator[Finding]:
    for service in environment.each("services"):
        kind = kind_of(service)
        if kind:
            yield from _runs(kind, service)
        if service.text("type") in REDIS and service.text("maxmemoryPolicy") != "noeviction":
            at = service.get("maxmemoryPolicy") or service
            yield Finding(
                "release",
                at.place,
                f"{service.text('name')} drops jobs that wait when its memory is full",
                "maxmemoryPolicy: noeviction",
            )


def twice(services: list[Node]) -> Iterator[Finding]:
    """A name is one service, of whichever environment."""
    there: set[str] = set()
    for service in services:
        name = service.text("name") or ""
        if name in there:
            said = f"{name} is there twice"
            yield Finding("references", service.place, said, "a name for each stage")
        there.add(name)


def _runs(kind: Kind, service: Node) -> Iterator[Finding]:
    at = service.get("type") or service
    if at.value != TYPES[kind]:
        said = f"{kind} is a {service.text('type')}"
        why = ", which gets no requests from outside" if kind == "web" else ""
        yield Finding("processes", at.place, said + why, f"type: {TYPES[kind]}")
    at = service.get("runtime") or service.get("env") or service
    if runtime(service) not in BUILT:
        yield Finding(
            "processes",
            at.place,
            f"{kind} is not built from the Dockerfile, and its dockerCommand is not read",
            "runtime: docker",
        )
    elif other := service.get("startCommand"):
        yield Finding(
            "processes", other.place, f"startCommand of {kind} is not read", "dockerCommand"
        )
    first = service.get("preDeployCommand")
    if first and kind == "web" and str(first.value).split() != MIGRATE.split():
        yield Finding(
            "processes",
            first.place,
            f"{first.value!r} goes before each deploy, and is not the migration alone",
            f"preDeployCommand: {MIGRATE}",
        )
    if first and kind != "web":
        yield Finding(
            "migration", first.place, f"{kind} migrates too, at the same time as web", "only web"
        )
