"""[tool.starter] in pyproject.toml: what this was made from, and what was taken out of it."""

import json
import re
import tomllib
from typing import NamedTuple

from starter.names import Name
from starter.refusal import Refused
from starter.tree import Tree

FILE = "pyproject.toml"


class Record(NamedTuple):
    """What pyproject.toml says."""

    name: Name  # [project] name
    upstream: str = ""  # the template's repository, as git takes it
    commit: str = ""  # of the template, up to which its changes are in here
    removed: tuple[str, ...] = ()  # the sample, targets


def read(tree: Tree) -> Record:
    """Raises Refused where something is missing or of another kind."""
    try:
        project = tomllib.loads((tree.root / FILE).read_text())
        said = project.get("tool", {}).get("starter", {})
        found = Record(
            Name(project["project"]["name"]),
            said.get("upstream", ""),
            said.get("commit", ""),
            tuple(said.get("removed", ())),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"{FILE} cannot be read: {error}") from None
    if not all(isinstance(each, str) for each in (found.name.plain, *found[1:3], *found.removed)):
        raise Refused(
            f"{FILE}: upstream and commit of [tool.starter] are texts, removed a list of them"
        )
    return found


def write(tree: Tree, **said: str | tuple[str, ...]) -> None:
    """Change keys of [tool.starter]. Raises Refused where that is not there."""
    for key, value in said.items():
        _write(tree, key, json.dumps(list(value) if isinstance(value, tuple) else value))


def _write(tree: Tree, key: str, value: str) -> None:
    head, table, rest = (tree.text(FILE) or "").partition("\n[tool.starter]\n")
    own, following, others = rest.partition("\n[")
    if not (line := re.search(rf"^{key} = (?:\".*\"|\[.*\])", own, re.M)):
        raise Refused(f"{FILE} has no line `{key} = …` below [tool.starter]: put it back")
    own = own[: line.start()] + f"{key} = {value}" + own[line.end() :]
    tree.write(FILE, head + table + own + following + others)
