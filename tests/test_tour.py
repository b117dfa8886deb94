"""The tour names files and functions: they are there."""

import ast
import re
from pathlib import Path

from service.environment import ROOT

TOUR = ROOT / "docs" / "tour.md"
# [`service/edge.py`](../service/edge.py) `Edge.__call__`
NAMED = re.compile(r"\[`([\w./]+\.py)`\]\(\.\./([\w./]+)\)(?: `([\w.]+)`)?")


def missing(text: str, root: Path) -> list[str]:
    """What it names that is not there."""
    found = []
    for shown, path, name in NAMED.findall(text):
        if shown != path or not (root / path).is_file():
            found.append(f"{shown} ({path})")
        elif name and name not in names(ast.parse((root / path).read_text())):
            found.append(f"{path}: {name}")
    return found


def names(tree: ast.AST, prefix: str = "") -> set[str]:
    """Functions, classes and methods, by their qualified names."""
    found = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found |= {f"{prefix}{node.name}", *names(node, f"{prefix}{node.name}.")}
    return found


def test_the_files_and_functions_of_the_tour_are_there() -> None:
    text = TOUR.read_text()
    assert missing(text, ROOT) == []
    assert len(NAMED.findall(text)) == text.count("](../service/") + text.count("](../gunicorn")
    assert len({path for _, path, _ in NAMED.findall(text)}) > 15


def test_a_function_that_is_gone_is_noticed() -> None:
    for wrong in (
        "[`service/edge.py`](../service/edge.py) `Edge.gone`",
        "[`service/gone.py`](../service/gone.py) `Edge`",
        "[`service/edge.py`](../service/db.py) `close`",
    ):
        assert len(missing(wrong, ROOT)) == 1
