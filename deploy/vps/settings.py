"""deploy/servers.toml: which servers there are, and what each is for. Its example documents it.

Add a setting: a field in servers.py, a line in deploy/servers.example.toml.
"""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from deploy.reading import Node, toml_file
from deploy.shell import Failed
from deploy.vps.rules import KeyPath, contradictions
from deploy.vps.servers import FILE, Backups, Fleet, Server

__all__ = ["Backups", "Fleet", "Server", "load"]

EXAMPLE = "deploy/servers.example.toml"


def load(root: Path, name: str = FILE) -> Fleet:
    """Raises Failed, with the line, the key path and what is allowed, for each problem."""
    if not (root / name).exists():
        raise Failed(f"{name} is not there: cp {EXAMPLE} {name}, and put in your servers")
    node = toml_file(root, name)
    given = node.plain()
    try:
        fleet = Fleet.model_validate({**given, "servers": _named(given.get("servers"))})
    except ValidationError as error:
        found = [(_path(each["loc"], given), _said(each)) for each in _first_causes(error)]
    else:
        found = list(contradictions(fleet))
    if found:
        lines = [f"{_place(node, path)}: {_spelt(path)}: {said}" for path, said in found]
        raise Failed("\n".join(lines))
    return fleet


def _first_causes(error: ValidationError) -> list[Any]:
    """Without what follows from another: a list whose only item is wrong is not empty too."""
    found = error.errors()
    deeper = [each["loc"] for each in found]
    return [
        each
        for each in found
        if each["type"] != "too_short"
        or not any(loc != each["loc"] and loc[: len(each["loc"])] == each["loc"] for loc in deeper)
    ]


def _named(servers: object) -> object:
    """The tables below [servers], each with its name: a list, in their order."""
    if not isinstance(servers, dict):
        return () if servers is None else servers
    return tuple(
        {"private": each["address"], **each, "name": name}
        if isinstance(each, dict) and isinstance(each.get("address"), str)
        else {"private": "", **each, "name": name}
        if isinstance(each, dict)
        else each
        for name, each in servers.items()
    )


def _path(loc: KeyPath, given: dict[str, Any]) -> KeyPath:
    """As the file has it: servers by name."""
    if loc[0] == "servers" and len(loc) > 1 and isinstance(loc[1], int):
        return ("servers", list(given["servers"])[loc[1]], *loc[2:])
    return loc


_WORDS = {
    "missing": "is needed",
    "extra_forbidden": "is no setting: {example} has all there are",
    "literal_error": "is {input!r}, where {expected} is allowed",
    "string_type": "is to be text",
    "int_type": "is to be a whole number",
    "tuple_type": "is to be a list",
    "model_type": "is to be a table",
    "model_attributes_type": "is to be a table",
    "too_short": "is empty: at least one is needed",
    "string_too_short": "is empty",
    "greater_than_equal": "is {input}, where at least {ge} is allowed",
    "less_than_equal": "is {input}, where at most {le} is allowed",
}


def _said(error: Any) -> str:
    if error["loc"] == ("servers",) and error["type"] == "tuple_type":
        return "is to be tables, [servers.one]"
    words: str = _WORDS.get(error["type"], error["msg"])
    return words.format(example=EXAMPLE, input=error["input"], **error.get("ctx", {}))


def _spelt(path: KeyPath) -> str:
    """servers.one.roles[0]"""
    words = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return "".join(words).removeprefix(".")


def _place(node: Node, path: KeyPath) -> str:
    """The line of what is there of the path."""
    for end in range(len(path), 0, -1):
        if found := node.get(*path[:end]):
            return str(found.place)
    return node.place.file
