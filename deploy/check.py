"""`python -m deploy check`: whether each platform's manifest fits the service and the platform."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonschema.validators import validator_for

from deploy import collisions, rules
from deploy.manifest import Finding, Manifest
from deploy.reading import Place
from deploy.shell import Failed
from deploy.targets import TARGETS
from service.environment import environment

SKIPPED = "skipped"  # a rule that could not be looked at: never "ok"


def run(root: Path, names: Sequence[str], schemas: Path | None, *, as_json: bool) -> int:
    """Print a table, target × rule, and what was found; 1 if that is anything."""
    table = {name: check(root, name, schemas) for name in names or TARGETS}
    # What is shared by several processes is said once.
    findings = list(
        dict.fromkeys((name, each) for name, found in table.items() for each in _all(found))
    )
    wrong = sum(not each.warns for _, each in findings)
    if as_json:
        print(json.dumps({name: _plain(found) for name, found in table.items()}, indent=2))
        return 1 if wrong else 0
    columns = [*rules.RULES, "collisions", "schema"]
    print(f"{'':18}" + "".join(f"{column:13}" for column in columns).rstrip())
    for name, found in table.items():
        print(f"{name:18}" + "".join(f"{_cell(found[c]):13}" for c in columns).rstrip())
    for name, each in findings:
        mark = "warning: " if each.warns else ""
        print(f"\n{each.place}: {mark}{name}, {each.rule}: {each.what}\n    {each.todo}")
    unseen = "" if schemas else "; the published schemas were not looked at (--schemas)"
    warnings = len(findings) - wrong
    print(f"\n{wrong} wrong, {warnings} warnings, in {len(table)} targets{unseen}")
    return 1 if wrong else 0


def read(root: Path, name: str) -> Manifest:
    """Raises Failed for what cannot be read."""
    return replace(TARGETS[name](root), root=root)


def check(root: Path, name: str, schemas: Path | None) -> dict[str, list[Finding] | str]:
    """What each rule finds; a text for one that has nothing to say of this platform."""
    columns = [*rules.RULES, "collisions", "schema"]
    try:
        manifest = read(root, name)
    except Failed as failure:
        file, _, rest = str(failure).partition(":")
        line = rest.partition(":")[0]
        place = Place(file.split()[0], int(line) if line.isdecimal() else 1)
        unread = Finding("read", place, str(failure), "mend it; nothing else was looked at")
        return {"variables": [unread]} | dict.fromkeys(columns[1:], SKIPPED)
    return {rule: look(manifest, name, rule, schemas) for rule in columns}


def look(manifest: Manifest, name: str, rule: str, schemas: Path | None) -> list[Finding] | str:
    """What one rule finds."""
    if rule == "collisions":
        return list(collisions.look(manifest.root, name))
    if rule == "schema":
        return _schema(manifest, schemas)
    own = (each for each in manifest.findings if each.rule == rule)
    found = [*rules.RULES[rule](manifest), *own]
    return SKIPPED if rule in manifest.platform.silent and not found else found


def _schema(manifest: Manifest, folder: Path | None) -> list[Finding] | str:
    """Held against the published schemas, of those that are in a folder, if one is given."""
    if folder is None or not manifest.schemas:
        return SKIPPED
    found, missing = [], False
    for name, node in manifest.schemas:
        schema = _read_schema(manifest, folder / name)
        if schema is None:
            missing = True
            continue
        for each in validator_for(schema)(schema).iter_errors(node.plain()):
            at = node
            for key in each.absolute_path:
                at = at.get(key) or at
            found.append(Finding("schema", at.place, each.message[:200], f"see {name}"))
    return SKIPPED if missing and not found else found


def _read_schema(manifest: Manifest, path: Path) -> Any:
    """None if it is not there. Raises Failed for what is none."""
    try:
        schema = json.loads(path.read_text())
        schema = manifest.schema_of(schema) if manifest.schema_of else schema
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:  # UnicodeDecodeError is one too
        raise Failed(f"{path} is no JSON: {error}") from None
    except (KeyError, TypeError, AttributeError):
        raise Failed(f"{path} is not of the form that is read") from None
    if not isinstance(schema, dict):
        raise Failed(f"{path} is no schema")
    return schema


def _all(found: dict[str, list[Finding] | str]) -> list[Finding]:
    return [each for column in found.values() if not isinstance(column, str) for each in column]


def _cell(found: list[Finding] | str) -> str:
    if isinstance(found, str):
        return found
    wrong = sum(not each.warns for each in found)
    return f"{wrong} wrong" if wrong else "warning" if found else "ok"


def _plain(found: dict[str, list[Finding] | str]) -> dict[str, object]:
    return {
        rule: each
        if isinstance(each, str)
        else [
            {"place": str(one.place), "what": one.what, "todo": one.todo, "warns": one.warns}
            for one in each
        ]
        for rule, each in found.items()
    }


def schemas_folder(given: str | None) -> Path | None:
    """--schemas, else SLIPWAY_SCHEMAS. Raises Failed if it is no folder."""
    name = given or environment().get("SLIPWAY_SCHEMAS")
    if not name:
        return None
    if not Path(name).is_dir():
        raise Failed(f"the folder of schemas {name} is not there")
    return Path(name)
