"""Manifests as they lie in the repository: values that know their line, in each of the formats.

A parser of the standard library gives no lines, and a finding without one is no help.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.shell import Failed


@dataclass(frozen=True)
class Place:
    """A line of a file, as people and editors write it."""

    file: str  # from the root of the repository
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Node:
    """A value of a manifest: a mapping or a list of nodes, or a scalar; and where it is."""

    value: Any
    place: Place

    def get(self, *path: str | int) -> "Node | None":
        """What is at a path of keys and positions; None if any of it is not there."""
        found: Node | None = self
        for key in path:
            if found is None:
                return None
            inner = found.value
            if isinstance(inner, dict):
                found = inner.get(key)
            elif isinstance(inner, list) and isinstance(key, int) and key < len(inner):
                found = inner[key]
            else:
                return None
        return found

    def text(self, *path: str | int) -> str | None:
        """A scalar as text; None if there is none."""
        found = self.get(*path)
        return None if found is None or found.value is None else str(found.value)

    def number(self, *path: str | int) -> float | None:
        found = self.get(*path)
        if found is None or isinstance(found.value, bool):
            return None
        return found.value if isinstance(found.value, int | float) else None

    def whole(self, *path: str | int) -> "Node | None":
        """A whole number, though it be written as text. Raises Failed, with its line, for what is
        none."""
        found = self.get(*path)
        if found is None or found.value is None:
            return None
        text = str(found.value)
        if isinstance(found.value, bool) or not re.fullmatch(r"\d{1,9}", text):
            raise Failed(f"{found.place}: {text} is no whole number")
        return Node(int(text), found.place)

    def each(self, *path: str | int) -> "list[Node]":
        found = self.get(*path)
        return list(found.value) if found and isinstance(found.value, list) else []

    def items(self, *path: str | int) -> "list[tuple[str, Node]]":
        found = self.get(*path)
        return list(found.value.items()) if found and isinstance(found.value, dict) else []

    def plain(self) -> Any:
        """The value without places, for a schema."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def read(root: Path, name: str) -> str:
    """Raises Failed if it is not there, empty, or no text."""
    try:
        text = (root / name).read_text()
    except FileNotFoundError:
        raise Failed(f"{name} is not there") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"{name} cannot be read: {error}") from None
    if not text.strip():
        raise Failed(f"{name}:1: is empty")
    return text


def yaml_file(root: Path, name: str) -> Node:
    """The one document of a YAML or JSON file. Raises Failed, with its line."""
    documents = yaml_documents(root, name)
    if len(documents) != 1:
        raise Failed(f"{documents[1].place}: a second document, where one is expected")
    return documents[0]


def yaml_documents(root: Path, name: str) -> list[Node]:
    """The documents of a YAML file; JSON is YAML too. Raises Failed, with its line."""
    text = read(root, name)
    if name.endswith(".json"):  # YAML takes more than JSON, and who reads these does not
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            raise Failed(f"{name}:{error.lineno}: does not parse: {error.msg}") from None
    try:
        loader = yaml.CSafeLoader(text)
        found = [_node(name, loader, each) for each in _composed(loader)]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = min(mark.line + 1, len(text.splitlines())) if mark else 1  # it may be at the end
        said = getattr(error, "problem", None) or str(error)
        raise Failed(f"{name}:{line}: does not parse: {said}") from None
    if not found or not isinstance(found[0].value, dict):
        raise Failed(f"{name}:1: does not hold a mapping")
    return found


def _composed(loader: yaml.CSafeLoader) -> Iterator[yaml.Node]:
    while loader.check_node():
        node = loader.get_node()
        assert node is not None
        yield node


def _node(file: str, loader: yaml.CSafeLoader, node: yaml.Node) -> Node:
    place = Place(file, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        loader.flatten_mapping(node)
        found: dict[str, Node] = {}
        for key, value in node.value:
            if (name := str(loader.construct_object(key))) in found:
                raise Failed(f"{file}:{key.start_mark.line + 1}: {name} is there twice")
            inner = _node(file, loader, value)
            # Of a value on lines of its own, the line of its key is what people look for.
            found[name] = Node(inner.value, Place(file, key.start_mark.line + 1))
        return Node(found, place)
    if isinstance(node, yaml.SequenceNode):
        return Node([_node(file, loader, each) for each in node.value], place)
    return Node(loader.construct_object(node), place)


def toml_file(root: Path, name: str) -> Node:
    """Raises Failed, with its line."""
    text = read(root, name)
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        raise Failed(f"{name}:{found[1] if found else 1}: does not parse: {error}") from None
    return _with_lines(name, value, _toml_lines(text), ())


_TABLE = re.compile(r"\s*(\[\[?)\s*([\w.\-\"' ]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([\w\-]+|\"[^\"]+\")\s*=")


def _toml_lines(text: str) -> dict[tuple[str | int, ...], int]:
    """The line of each key: of its table's header, or its own. Enough for manifests, whose values
    of several lines hold no line that looks like a key."""
    lines: dict[tuple[str | int, ...], int] = {}
    table: tuple[str | int, ...] = ()
    counts: dict[tuple[str | int, ...], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            table = tuple(part.strip(" \"'") for part in header[2].split("."))
            table = _inside_arrays(table, counts, ends_in_array=header[1] == "[[")
            for end in range(1, len(table) + 1):  # [a.b] is where `a` is found too
                lines.setdefault(table[:end], number)
        elif key := _KEY.match(line):
            lines[(*table, key[1].strip('"'))] = number
    return lines


def _inside_arrays(
    table: tuple[str | int, ...], counts: dict[tuple[str | int, ...], int], *, ends_in_array: bool
) -> tuple[str | int, ...]:
    found: tuple[str | int, ...] = ()
    for position, part in enumerate(table):
        found = (*found, part)
        if ends_in_array and position == len(table) - 1:
            counts[found] = counts.get(found, -1) + 1
        if found in counts:
            found = (*found, counts[found])
    return found


def _with_lines(
    file: str, value: Any, lines: dict[tuple[str | int, ...], int], path: tuple[str | int, ...]
) -> Node:
    place = Place(file, _nearest(lines, path))
    if isinstance(value, dict):
        inner = {key: _with_lines(file, each, lines, (*path, key)) for key, each in value.items()}
        return Node(inner, place)
    if isinstance(value, list):
        return Node(
            [_with_lines(file, each, lines, (*path, n)) for n, each in enumerate(value)], place
        )
    return Node(value, place)


def _nearest(lines: dict[tuple[str | int, ...], int], path: tuple[str | int, ...]) -> int:
    for end in range(len(path), 0, -1):
        if path[:end] in lines:
            return lines[path[:end]]
    return 1


def procfile(root: Path, name: str) -> dict[str, Node]:
    """The processes of a Procfile: a name and a command on each line. Raises Failed, with its
    line."""
    found: dict[str, Node] = {}
    for number, line in enumerate(read(root, name).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        kind, colon, command = line.partition(":")
        if not colon or not re.fullmatch(r"[A-Za-z0-9_-]+", kind) or not command.strip():
            raise Failed(f"{name}:{number}: is no `process: command`")
        if kind in found:
            raise Failed(f"{name}:{number}: {kind} is there twice")
        found[kind] = Node(command.strip(), Place(name, number))
    return found


def commands(root: Path, name: str, heading: str) -> list[Node]:
    """The lines of the shell blocks below a heading of a page: where a platform has no manifest
    for the order of things, the page is it. Raises Failed if there are none."""
    found, inside, shell = [], False, False
    for number, line in enumerate(read(root, name).splitlines(), 1):
        if line.startswith("#") and not shell:
            inside = line.lstrip("# ") == heading
        elif line.startswith("```"):
            shell = line == "```sh"
        elif inside and shell and line.strip():
            found.append(Node(line.partition(" #")[0].strip(), Place(name, number)))
    if not found:
        raise Failed(f"{name}:1: has no commands below {heading!r}")
    return found


def first_of(commands: list[Node], before: str, after: str) -> Place | None:
    """Where a command that has `before` in it stands, if it does so before all that have `after`:
    such as the migration and what takes traffic."""
    for each in commands:
        if after in str(each.value):
            return None
        if before in str(each.value):
            return each.place
    return None
