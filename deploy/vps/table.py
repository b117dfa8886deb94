"""What servers said, as tables for people and as JSON for machines."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deploy.shell import Failed, say
from deploy.vps.host.units import LOGGED_AS
from deploy.vps.servers import Fleet

LEAST_DISK = 0.1  # of it, that is to be free
LEAST_BYTES = 400 << 20  # that are to be free: a release asks for 300 MiB
LEAST_DAYS = 14  # of a certificate; certbot renews when 30 are left
OLDEST_BACKUP = 26 * 3600  # seconds: one is made each night
HEAD = (
    *("server", "roles", "release", "commit", "since", "health", "queue", "disk"),
    *("back-up", "certificate"),
)


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
            lines += [f"{name}: {each}" for each in drift(fleet, name, one)]
            for line in lines:
                say(line)
        for line in [*differences(found), *to_go_back_to(found)]:
            say(line)
    ill = any(_failed(one) or problems(one) for one in found.values())
    return int(ill or bool(differences(found)))


def _said(one: Mapping[str, Any]) -> list[str]:
    return [*problems(one), *notes(one)]


def _failed(one: object) -> bool:
    return isinstance(one, Failed)


def _row(name: str, roles: str, one: Any) -> Sequence[str]:
    if _failed(one):
        return name, roles, "?", "?", "?", "unreachable", *"????"
    disk = one["disk"]
    return (
        name,
        roles,
        " ".join(filter(None, (one["release"], one["colour"]))) if one["release"] else "-",
        (one["commit"] or "-")[:12],
        _ago(one["age"]),
        one["health"] or "-",
        "-" if one["queue"] is None else str(one["queue"]),
        f"{100 * disk['free'] / disk['total']:.0f} % free",
        _ago(one.get("backup_age")),
        "-" if one["certificate_days"] is None else f"{one['certificate_days']} days",
    )


def problems(one: Mapping[str, Any]) -> list[str]:
    """What somebody has to do something about. What only newer programs on servers say is there
    or not."""
    found = []
    if one["health"] not in (None, "healthy"):
        ill = ", ".join(one.get("ill", [])) or "vps logs web"
        found.append(f"is {one['health']}: {ill}")
    if one["release"] is None and {"web", "worker"}.intersection(one["roles"]):
        found.append("has no release yet: vps release")
    found += [f"{unit} is {state}: {_cure(unit)}" for unit, state in _wrong_units(one)]
    free, total = one["disk"]["free"], one["disk"]["total"]
    if free < LEAST_DISK * total or free < LEAST_BYTES:
        found.append(
            f"has {free >> 20} MiB of disk left at {one['disk'].get('path', '/srv/slipway')}"
        )
    if (age := one.get("backup_age") or 0) > OLDEST_BACKUP:
        found.append(f"its last back-up was made {_ago(age)}: vps logs backup")
    if (days := one["certificate_days"]) is not None and days < LEAST_DAYS:
        found.append(f"its certificate ends in {days} days")
    if days is None and one.get("certificate_wanted"):
        found.append("shows no certificate on port 443: vps logs nginx")
    if one.get("certificate_provisional"):
        found.append(
            "shows a certificate of its own, which no browser trusts, until Let's Encrypt gives"
            " one: vps provision"
        )
    if one["maintenance"]:
        by = f", by {who}" if (who := one.get("maintenance_by")) else ""
        found.append(f"maintenance is on{by}, everybody gets a 503: vps maintenance off")
    if one["out"]:
        found.append(f"the balancer gives no requests to {_left_out(one)}: vps balance in")
    return found


def _left_out(one: Mapping[str, Any]) -> str:
    """Who gets no requests, and whose doing that is, if it is known."""
    said = {name: one.get("out_by", {}).get(name) for name in one["out"]}
    shown = {
        name: f" ({by['why']} by {by['who']} at {by['since']})" if by else ""
        for name, by in said.items()
    }
    return ", ".join(f"{name}{whose}" for name, whose in shown.items())


def _cure(unit: str) -> str:
    """Two commands: what says why, and what mends it."""
    if unit == "backup":
        return "vps logs backup"
    name = unit.partition("@")[0].partition(".")[0].removesuffix("-server")
    return f"vps logs {LOGGED_AS.get(name, name)}; vps provision starts it"


def _wrong_units(one: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    web = f"web@{one['colour']}"
    for unit, state in one["units"].items():
        if unit.startswith("web@"):  # of two colours, one serves
            wanted = unit == web and bool(one["release"])
        elif unit == "backup":  # it runs at night
            wanted = state == "failed"
        else:
            wanted = bool(one["release"]) or unit not in ("worker", "scheduler")
        if wanted and state != "active":
            yield unit, state


def differences(found: Mapping[str, Any]) -> list[str]:
    """What is wrong with the servers together."""
    commits = {
        name: one["commit"][:12]
        for name, one in found.items()
        if not _failed(one) and one["commit"]
    }
    if len(set(commits.values())) < 2:
        return []
    which = ", ".join(map(" ".join, commits.items()))
    return [f"servers differ in their commits: {which}: vps release, or vps rollback RELEASE"]


def drift(fleet: Fleet, name: str, one: Any) -> list[str]:
    """What servers.toml has and the server has not been told: no fault, as long as it is meant."""
    told = None if _failed(one) else one.get("settings")
    if not told:
        return []
    (server,) = (each for each in fleet.servers if each.name == name)
    wanted = fleet.document(server)
    names = [key for key, value in wanted.items() if key in told and told[key] != value]
    return [f"has not been told of {', '.join(names)} in servers.toml: vps provision"] * bool(names)


def to_go_back_to(found: Mapping[str, Any]) -> list[str]:
    """What `vps rollback` takes, the next first; once, where servers have the same."""
    servers: dict[str, list[str]] = {}
    for name, one in found.items():
        if not _failed(one) and (said := _ways_back(one)):
            servers.setdefault(said, []).append(name)
    return [f"vps rollback, on {', '.join(on)}: {said}" for said, on in servers.items()]


def _ways_back(one: Mapping[str, Any]) -> str:
    """In words; nothing if there is no way."""
    served = [each for each in one.get("history", []) if each != one["release"]]
    others = [
        each for each in reversed(one.get("kept", [])) if each not in {one["release"], *served}
    ]
    named = [*reversed(served[:-1]), *others]
    found = [f"to {served[-1]}"] if served else []
    found += [f"by name to {', '.join(named)}"] if named else []
    return "; ".join(found)


def notes(one: Mapping[str, Any]) -> list[str]:
    """What somebody has done, and may have forgotten."""
    found = []
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
