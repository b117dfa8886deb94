"""What servers said, as tables for people and as JSON for machines."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from deploy.shell import Failed, say
from deploy.vps.servers import Fleet

HEAD = "server", "roles", "release", "commit", "since", "health", "queue", "disk", "certificate"


def show(fleet: Fleet, found: Mapping[str, Any], *, as_json: bool) -> int:
    """The state of each server: 0 if all are well, 1 if not."""
    if as_json:
        wrong = {name: {"error": str(one)} for name, one in found.items() if _failed(one)}
        say(json.dumps({**found, **wrong}))
    else:
        roles = {server.name: "+".join(server.roles) for server in fleet.servers}
        rows = [_row(name, roles[name], one) for name, one in found.items()]
        for line in aligned([HEAD, *rows]):
            say(line)
        for name, one in found.items():
            for line in [str(one)] if _failed(one) else notes(name, one):
                say(line)
    return int(any(_failed(one) or one.get("problems") for one in found.values()))


def _failed(one: object) -> bool:
    return isinstance(one, Failed)


def _row(name: str, roles: str, one: Any) -> Sequence[str]:
    if _failed(one):
        return name, roles, "?", "?", "?", "unreachable", "?", "?", "?"
    return (
        name,
        roles,
        (one.get("release") or "-") + (f" {one['colour']}" if one.get("colour") else ""),
        (one.get("commit") or "-")[:12],
        _ago(one.get("age")),
        one.get("health") or "-",
        str(one.get("queue") if one.get("queue") is not None else "-"),
        f"{one['disk_free_percent']:.0f} % free" if "disk_free_percent" in one else "-",
        f"{one['certificate_days']} days" if one.get("certificate_days") is not None else "-",
    )


def notes(name: str, one: Mapping[str, Any]) -> list[str]:
    """What is out of the ordinary."""
    return [f"{name}: {each}" for each in (*one.get("problems", []), *one.get("notes", []))]


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def show_variables(found: Mapping[str, Mapping[str, str]], *, as_json: bool) -> int:
    """The same on all servers once, what differs with its server."""
    if as_json:
        say(json.dumps(found))
        return 0
    names = sorted({name for variables in found.values() for name in variables})
    for name in names:
        values = {server: variables.get(name) for server, variables in found.items()}
        if len(set(values.values())) == 1:
            say(f"{name}={next(iter(values.values()))}")
        else:
            for server, value in values.items():
                say(f"{name}={value if value is not None else '(not set)'}    # on {server}")
    return 0


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
