""".railway/railway.py as nodes that know their lines: evaluated, and refused as the CLI would."""

import ast
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.railway.lines import Lines
from deploy.reading import Node, Place, read
from deploy.shell import CommandFailed, Failed, run

FILE = ".railway/railway.py"
PATIENCE = 10.0  # seconds; it takes 0.2
# How the arguments of service(…) are called in what comes of them.
ARGUMENTS = {
    "startCommand": ("start",),
    "preDeployCommand": ("preDeploy",),
    "healthcheckPath": ("healthcheck",),
    "numReplicas": ("replicas", "regions"),
    "multiRegionConfig": ("replicas", "regions"),
    "customDomains": ("domains",),
    "variables": ("env",),
}


@dataclass(frozen=True)
class Project:
    """What the file describes: the resources of each environment."""

    place: Place
    environments: Mapping[str, list[Node]]


def read_project(root: Path, environments: Sequence[str], patience: float = PATIENCE) -> Project:
    """Raises Failed, with its line, if `railway config plan` would not take the file."""
    lines = Lines(_parsed(read(root, FILE)))
    found = {
        name: [_with_lines(each, lines.of(str(each.get("name")))) for each in project["resources"]]
        for name, project in _evaluated(root, environments, patience).items()
    }
    project = Project(Place(FILE, lines.main()), found)
    _refuse_loose_ends(project)
    _refuse_differences(project)
    return project


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise Failed(f"{FILE}:{error.lineno or 1}: does not parse: {error.msg}") from None
    except ValueError as error:  # a byte of value 0
        raise Failed(f"{FILE}:1: does not parse: {error}") from None


def _evaluated(root: Path, environments: Sequence[str], patience: float) -> dict[str, Any]:
    """In a process of its own, without our variables; -I keeps out PYTHONPATH and this folder."""
    program = Path(__file__).with_name("evaluate.py")
    command = [sys.executable, "-I", "-B", str(program), str((root / FILE).resolve())]
    try:
        found = json.loads(run([*command, *environments], env={}, timeout=patience))
    except (CommandFailed, ValueError):
        raise Failed(f"{FILE}:1: ends the process that evaluates it") from None
    except Failed:
        raise Failed(f"{FILE}:1: is not evaluated within {patience:g} s") from None
    if problem := found.get("problem"):
        hint = ": `make setup` installs it" if "railway_sdk" in problem else ""
        raise Failed(f"{FILE}:{found['line']}: {problem}{hint}")
    projects: dict[str, Any] = found["projects"]
    return projects


def _with_lines(value: Any, known: Mapping[str, int], key: str = "", line: int = 1) -> Node:
    """Each part stands where its name does; without one of its own, where what it is part of
    does."""
    line = next((known[each] for each in (key, *ARGUMENTS.get(key, ())) if each in known), line)
    place = Place(FILE, line)
    if isinstance(value, Mapping):
        inner = {
            str(name): _with_lines(each, known, str(name), line) for name, each in value.items()
        }
        return Node(inner, place)
    if isinstance(value, list):
        return Node([Node(each, place) for each in value], place)
    return Node(value, place)


def _refuse_loose_ends(project: Project) -> None:
    """Source: validate_graph in the CLI's src/iac/graph.rs; a value that is no text is passed on
    as it is, and Railway's own format has an object in that place."""
    for nodes in project.environments.values():
        addresses = [str(node.text("address")) for node in nodes]
        for node in nodes:
            if addresses.count(str(node.text("address"))) > 1:
                raise Failed(f"{node.place}: {node.text('address')} is there twice")
            for name, each in node.items("variables"):
                if (target := each.text("resource")) and target not in addresses:
                    raise Failed(f"{each.place}: {name} is of {target}, which is no resource")
                if each.text("type") == "raw" and not each.items("value"):
                    raise Failed(f"{each.place}: {name} is no text")


def _refuse_differences(project: Project) -> None:
    """Source: plan_scope in the CLI's src/iac/environments.rs, which evaluates the file for each
    environment, whichever is planned."""
    addresses = {
        name: {str(node.text("address")) for node in nodes}
        for name, nodes in project.environments.items()
    }
    everywhere = set.intersection(*addresses.values())
    for name, found in addresses.items():
        if some := ", ".join(sorted(found - everywhere)):
            raise Failed(f"{project.place}: {some} is in {name}, and not in all environments")
