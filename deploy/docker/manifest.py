"""compose.yaml and compose.production.yaml, as a host that serves users has them."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.docker.stack import FILES
from deploy.manifest import LASTING, Kind, Manifest, Platform, Process, Stage, Variable
from deploy.reading import Node, Place, read
from deploy.shell import Failed

# Docker's own time to stop is 10 s. nginx is in front, and keeps idle connections for 60 s.
PLATFORM = Platform(
    name="docker",
    grace=10,
    grace_most=3600,
    hops=1,
    idle=60,
    asks=False,
    silent={"health": "a release waits until the image's own check passes"},
)
RESERVED = 3  # connections of PostgreSQL that are its superuser's
SECONDS = re.compile(r"(\d+)s")


class Loader(yaml.SafeLoader):
    """Takes Compose's tags, !override and !reset, for what they are on."""


def _untagged(loader: Loader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return None  # !reset null


Loader.add_multi_constructor("!", _untagged)


def read_manifest(root: Path) -> Manifest:
    """Raises Failed if a file is not there, does not parse, or lacks a service."""
    base, production = (_services(root, name) for name in FILES)
    processes = {kind: _process(root, kind, base, production) for kind in (*LASTING, "migrate")}
    migrates = processes["migrate"].place
    stage = Stage("production", Place(FILES[1], 1), processes, migrates)
    allowed = _connections(base)
    platform = Platform(**{**PLATFORM.__dict__, "connections": allowed - RESERVED})
    return Manifest(platform, (stage,), root=root)


def _services(root: Path, name: str) -> Mapping[str, Any]:
    text = read(root, name)
    try:
        found = yaml.load(text, Loader)  # noqa: S506
        services: Mapping[str, Any] = found["services"]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise Failed(f"{name}:{mark.line + 1 if mark else 1}: does not parse") from None
    except (KeyError, TypeError):
        raise Failed(f"{name}:1: has no services") from None
    return services


def _process(
    root: Path, kind: Kind, base: Mapping[str, Any], production: Mapping[str, Any]
) -> Process:
    """web is there in two colours, which are one."""
    name = "web-blue" if kind == "web" else kind
    below, above = base.get(kind), production.get(name)
    if below is None or above is None:
        file = FILES[0] if below is None else FILES[1]
        raise Failed(f"{file}:1: has no service {kind if below is None else name}")
    merged = {**below, **{key: value for key, value in above.items() if value is not None}}
    place = _place(root, FILES[1], f"  {name}:")
    given = {
        key: Variable(key, _place(root, FILES[1], f"  {key}:"), str(value), by_hand=_file(key))
        for key, value in merged.get("environment", {}).items()
    }
    one = Node(1, place) if kind in ("worker", "scheduler") else None
    return Process(
        kind,
        place,
        shlex.join(merged.get("command", ())) or None,
        given,
        grace=_grace(root, merged),
        instances=one,
        least=one,
        checks=_checks(root, kind),
    )


def _grace(root: Path, service: Mapping[str, Any]) -> Node | None:
    if found := SECONDS.fullmatch(str(service.get("stop_grace_period", ""))):
        return Node(int(found[1]), _place(root, FILES[0], "  stop_grace_period:"))
    return None


def _file(name: str) -> bool:
    """A secret, in a file that is put there by hand."""
    return name.endswith("_FILE")


def _checks(root: Path, kind: Kind) -> tuple[Node, ...]:
    """That of the image, which finds out by itself what runs there."""
    for number, line in enumerate(read(root, "Dockerfile").splitlines(), 1):
        if kind != "migrate" and line.startswith("HEALTHCHECK"):
            return (Node(f"python -m service healthcheck {kind}", Place("Dockerfile", number)),)
    return ()


def _connections(base: Mapping[str, Any]) -> int:
    """What PostgreSQL is started with; 100 are its default."""
    words = " ".join(map(str, base.get("postgres", {}).get("command", ())))
    found = re.search(r"max_connections=(\d+)", words)
    return int(found[1]) if found else 100


def _place(root: Path, file: str, begin: str) -> Place:
    lines = enumerate(read(root, file).splitlines(), 1)
    return Place(file, next((n for n, line in lines if line.startswith(begin)), 1))
