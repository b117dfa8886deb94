"""What there is to know of a server, in one look, whatever is down."""

import json
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy import history
from deploy.shell import Failed
from deploy.vps.host import backups, edge, lock, postgres, releases, units
from deploy.vps.host.layout import COLOURS, PORTS, Host

ASK_WITHIN = 2  # seconds
Usage = Callable[[Path], tuple[int, int, int]]  # total, used and free, in bytes
_QUEUE = "SELECT count(*) FROM jobs WHERE status IN ('queued', 'retrying')"
_UNITS = {
    "web": [*map(units.web, COLOURS), units.NGINX],
    "balancer": [units.NGINX],
    "worker": [*units.WORKERS],
    "database": [units.POSTGRESQL, "slipway-backup.service", "slipway-backup.timer"],
    "redis": ["redis-server.service"],
}
_ENDS_AND_SIGNS = ["openssl", "x509", "-noout", "-enddate", "-issuer", "-subject"]
# Whose room a role fills, on a disk of its own or not.
_DATA = {"database": ("/var/lib/postgresql", "/var/backups/slipway"), "redis": ("/var/lib/redis",)}
TRIED = ("restore-test", "rollback")


def status(host: Host) -> dict[str, Any]:
    """All of it; None for what cannot be known just now."""
    found, serves = host.layout, edge.serving(host)
    colour = edge.colour(found) if host.server.has("web") else None
    health = _health(host, colour) if colour and serves else {}
    ends, self_signed = certificate_ends(host)
    closed = edge.closed_by(found)
    kept = backups.every(found) if host.server.has("database") else []
    return {
        "server": host.server.server,
        "roles": sorted(host.server.roles),
        "colour": colour,
        "release": serves.name if serves else None,
        "commit": releases.commit(serves) if serves else None,
        "age": round(time.time() - edge.since(host)) if serves else None,
        "health": health.get("status"),
        "ill": _ill(health.get("checks")),
        "units": _units(host),
        "queue": _queue(host) if host.server.has("worker") and serves else None,
        "disk": _disk(host),
        "certificate_days": None if ends is None else int((ends - time.time()) // 86400),
        "certificate_wanted": _shows_certificate(host),
        "certificate_provisional": bool(self_signed) and host.server.tls == "letsencrypt",
        "maintenance": closed is not None,
        "maintenance_by": closed,
        "out": edge.out(found),
        "out_by": edge.out_by(found),
        "locked": lock.locked(found),
        "running": lock.running(found),
        "history": releases.history(found),
        "kept": releases.kept(found),
        "backup": kept[-1].name if kept else None,
        "backup_age": round(time.time() - kept[-1].at.timestamp()) if kept else None,
        "last": _last(host),
        "settings": _settings(host),
        "tried": _tried(host),
    }


def _health(host: Host, colour: str) -> dict[str, Any]:
    """Its status is healthy, degraded, unhealthy, or that nothing answers."""
    return {"status": "does not answer"} | host.runner.ask(PORTS[colour], "/health")[1]


def _ill(checks: object) -> list[str]:
    """The parts of the service that are not up, and how they are."""
    found = checks if isinstance(checks, dict) else {}
    return [f"{name} {each['status']}" for name, each in found.items() if each["status"] != "up"]


def _units(host: Host) -> dict[str, str]:
    names = [name for role, names in _UNITS.items() if host.server.has(role) for name in names]
    return {
        name.removeprefix("slipway-").removesuffix(".service").removesuffix("@*"): _state(
            host, name
        )
        for name in names
    }


def _state(host: Host, unit: str) -> str:
    try:
        return units.active_state(host, unit)
    except Failed:
        return "unknown"


def _disk(host: Host) -> dict[str, Any]:
    """Of those that the server's roles write to."""
    data = [Path(path) for role, paths in _DATA.items() if host.server.has(role) for path in paths]
    return least_room([host.layout.root, *filter(Path.is_dir, data)])


def least_room(paths: Iterable[Path], usage: Usage = shutil.disk_usage) -> dict[str, Any]:
    """The disk with the least of its room left, in bytes, and a path of it."""
    found = {path: usage(path)[::2] for path in paths}
    path, (total, free) = min(found.items(), key=lambda each: each[1][1] / max(1, each[1][0]))
    return {"free": free, "total": total, "path": str(path)}


def _settings(host: Host) -> dict[str, Any] | None:
    """What provision wrote of this server, for who has servers.toml to compare."""
    with suppress(OSError, ValueError):
        found = json.loads(host.layout.settings.read_text())
        return found if isinstance(found, dict) else None
    return None


def _queue(host: Host) -> int | None:
    """How many jobs wait."""
    with suppress(Failed, ValueError):
        told = postgres.of(host.layout.env_current) | {"PGCONNECT_TIMEOUT": str(ASK_WITHIN)}
        command, given = postgres.psql("-w", "-c", _QUEUE), postgres.environment(told)
        return int(host.runner.run(command, env=given, timeout=2 * ASK_WITHIN))
    return None


def certificate_ends(host: Host) -> tuple[float | None, bool | None]:
    """When it ends (seconds since the epoch), and whether it is self-signed, as nginx shows it: its
    file is root's. None if nginx shows none."""
    if not _shows_certificate(host):
        return None, None
    with suppress(OSError, ValueError, Failed):
        shown = certificate(host.server.domain)
        said = host.runner.run(_ENDS_AND_SIGNS, given=shown.encode()).splitlines()
        about = dict(line.partition("=")[::2] for line in said)
        return ssl.cert_time_to_seconds(about["notAfter"]), about["issuer"] == about["subject"]
    return None, None


def _shows_certificate(host: Host) -> bool:
    """Whether it is to show users one."""
    server = host.server
    faces = server.has("balancer") or (server.has("web") and not server.behind_balancer)
    return server.tls != "none" and faces


def certificate(domain: str, port: int = 443) -> str:
    """What nginx here shows to who asks for the domain (without a name it refuses), whoever has
    signed it. Raises OSError."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=ASK_WITHIN) as plain,
        context.wrap_socket(plain, server_hostname=domain) as secured,
    ):
        return ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True) or b"")


def _last(host: Host) -> dict[str, Any] | None:
    """The last change, and what came of it."""
    with suppress(OSError):
        if found := history.entries(host.layout.log.read_text()):
            return found[-1]
    return None


def _tried(host: Host) -> dict[str, str]:
    """What a production is to have tried, and when each went well last."""
    found = {}
    with suppress(OSError):
        for entry in history.entries(host.layout.log.read_text()):
            if (verb := str(entry["what"]).partition(" ")[0]) in TRIED and entry["result"] == "ok":
                found[verb] = str(entry["at"])
    return found


def lines(found: dict[str, Any]) -> list[str]:
    """For people."""
    if found["release"]:
        age = _age(found["age"])
        health = ", ".join([found["health"] or "works", *found["ill"]])
        serves = f"{found['release']} (for {age}), {health}"
        serves += f", as {found['colour']}" if found["colour"] else ""
    else:
        serves = "nothing yet"
    shown = {
        found["server"]: ", ".join(found["roles"]),
        "serves": serves,
        "units": ", ".join(f"{name} {state}" for name, state in found["units"].items()),
        "jobs waiting": found["queue"],
        "disk": f"{found['disk']['free'] >> 20} of {found['disk']['total'] >> 20} MiB free"
        f" at {found['disk']['path']}",
        "certificate": _days(found["certificate_days"]),
        "maintenance": maintenance(found["maintenance_by"]),
        "get no requests": ", ".join(found["out"]) or None,
        "locked": locked(found["locked"]),
        "running": found["running"],
        "last back-up": found["backup"],
        "last change": _change(found["last"]),
        "to go back to": " ".join(name for name in found["kept"] if name != found["release"]),
    }
    return [f"{name:16} {text}" for name, text in shown.items() if text not in (None, "")]


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _days(days: int | None) -> str | None:
    if days is None:
        return None
    ends = datetime.fromtimestamp(time.time() + days * 86400, UTC)
    return f"{days} days left, until {ends:%Y-%m-%d}"


def maintenance(by: str | None) -> str | None:
    """That the site is closed, and who has closed it, if that is known."""
    return None if by is None else f"on, by {by}" if by else "on"


def locked(said: dict[str, Any] | None) -> str | None:
    """Who has locked releases, and why."""
    return f"by {said.get('who')} at {said.get('since')}: {said.get('why')}" if said else None


def _change(said: dict[str, Any] | None) -> str | None:
    if said is None:
        return None
    return f"{said['what']} by {said['who']} at {said['at']}: {said['result']}"
