"""The rules and dashboards of deploy/monitoring, and what they ask for."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from service.environment import ROOT

MONITORING = ROOT / "deploy" / "monitoring"
DASHBOARDS = sorted((MONITORING / "grafana" / "dashboards").glob("*.json"))
RULES = sorted((MONITORING / "rules").glob("*.yml"))
SERVERS = MONITORING / "rules" / "servers.yml"  # what servers of one's own say
WORDS = {"and", "or", "unless", "bool"}


def rules(paths: Iterable[Path] = RULES) -> Iterator[dict[str, Any]]:
    for path in paths:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            yield path.stem, panel


def expressions() -> Iterator[tuple[str, str]]:
    """Where each of the dashboards is, and what it asks for."""
    for board, panel in panels():
        for target in panel["targets"]:
            yield f"{board}: {panel['title']}", target["expr"]
    for path in DASHBOARDS:
        for each in json.loads(path.read_text())["annotations"]["list"]:
            yield f"{path.stem}: {each['name']}", each["expr"]


def names(expression: str) -> set[str]:
    """The metrics that an expression of PromQL asks for."""
    bare = re.sub(r"\boffset \w+", " ", re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"", " ", expression))
    bare = re.sub(r"\b(by|on|ignoring|without)\s*\([^)]*\)", " ", bare)
    found = re.findall(r"[a-zA-Z_:][\w:]*(?!\s*\(|[\w:])", bare)
    return {each for each in found if each not in WORDS}
