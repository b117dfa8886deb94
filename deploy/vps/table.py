"""What servers said, as tables for people and as JSON for machines."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from deploy.shell import Failed, say
from deploy.vps.servers import Fleet

LEAST_DISK = 0.1  # of it, that is to be free
LEAST_DAYS = 14  # of a certificate; certbot renews when 30 are left
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
            lines = [str(one)] if _failed(one) else [f"{name}: {each}" for each in _said(one)]
            for line in lines:
                say(line)
    return int(any(_failed(one) or problems(one) for one in found.values()))


def _said(one: Mapping[str, Any]) -> list[str]:
    return [*problems(one), *notes(one)]


def _failed(one: object) -> bool:
    return isinstance(one, Failed)


def _row(name: str, roles: str, one: Any) -> Sequence[str]:
    if _failed(one):
        return name, roles, "?", "?", "?", "unreachable", "?", "?", "?"
    disk = one["disk"]
    return (
        name,
        roles,
        " ".join(filter(None, (one["release"], one["colour"]))) or "-",
        (one["commit"] or "-")[:12],
        _ago(one["age"]),
        one["health"] or "-",
        "-" if one["queue"] is None else str(one["queue"]),
        f"{100 * disk['free'] / disk['total']:.0f} % free",
        "-" if one["certificate_days"] is None else f"{one['certificate_days']} days",
    )


def problems(one: Mapping[str, Any]) -> list[str]:
    """What somebody has to do something about."""
    found = []
    if one["health"] not in (None, "healthy"):
        found.append(f"is {one['health']}: GET /health says of what")
    if one["release"]:
        web = f"web@{one['colour']}"
        found += [
            f"{unit} is {state}: vps logs"
            for unit, state in one["units"].items()
            if state != "active" and (unit == web or not unit.startswith("web@"))
        ]
    if one["disk"]["free"] < LEAST_DISK * one["disk"]["total"]:
        found.append(f"has {one['disk']['free'] >> 20} MiB of disk left")
    if (days := one["certificate_days"]) is not None and days < LEAST_DAYS:
        found.append(f"its certificate ends in {days} days")
    return found


def notes(one: Mapping[str, Any]) -> list[str]:
    """What somebody has done, and may have forgotten."""
    found = []
    if one["maintenance"]:
        found.append("maintenance is on: everybody gets a 503")
    if one["out"]:
        found.append(f"the balancer gives no requests to {', '.join(one['out'])}")
    if lock := one["locked"]:
        found.append(f"releases are locked by {lock['who']} at {lock['since']}: {lock['why']}")
    if one["running"]:
        found.append(one["running"])
    return found


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
