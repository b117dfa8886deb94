"""`python -m service doctor`: the effective configuration, and the state of what it points to."""

import json
import platform
import sys
from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from pydantic import SecretStr
from redis import RedisError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from service import budget, edge, flags, limits, migrations, server
from service.engine import make_engine
from service.environment import FLAG, is_secret, variable
from service.redis import make_client
from service.settings import Settings
from service.variables import Rate, redacted

Finding = dict[str, Any]


def run(settings: Settings, forwarded_for: str, peer: str, as_json: bool) -> int:
    """Print it; 1 if something that the service needs is wrong."""
    report = examine(settings, forwarded_for, peer)
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        print("\n".join(_lines(report)))
    return 0 if report["ok"] else 1


def examine(settings: Settings, forwarded_for: str, peer: str) -> dict[str, Any]:
    """What `run` prints, as data."""
    web = server.processes(settings)
    database, schema = _database(settings, settings.database_url), _schema(settings)
    redis = _redis(settings)
    url = settings.database_replica_url
    replica = {"replica": _database(settings, url)} if url else {}
    return {
        "ok": all(part["ok"] for part in (database, schema, redis, *replica.values())),
        "settings": _settings(settings),
        "flags": _flags(settings),
        "warnings": _warnings(settings),
        "web": {"processes": web.count, "because": web.why, "threads": settings.web_threads},
        "client": _client(settings, forwarded_for, peer),
        "database": database,
        **replica,
        "schema": schema,
        "redis": redis,
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in ("flask", "gunicorn", "sqlalchemy")},
    }


def show(settings: Settings) -> None:
    """Print the variables alone, for a machine: nothing is asked of what they point to."""
    fields = {variable(*each): each[1] for each in Settings.model_fields.items()}
    found = {
        name: {**about, "secret": is_secret(fields[name])}
        for name, about in _settings(settings).items()
    }
    print(json.dumps(found))


def _settings(settings: Settings) -> dict[str, Finding]:
    return {
        variable(name, field): {
            "value": _shown(getattr(settings, name)),
            "from": settings.origin(name),
        }
        for name, field in Settings.model_fields.items()
    }


def _flags(settings: Settings) -> dict[str, Finding]:
    shares = settings.flags
    return {
        flag.name: {"on": f"{shares.get(flag.name, 0):.4%}".rstrip("0%").rstrip(".") + "%"}
        | {"about": flag.about}
        for flag in flags.FLAGS
    }


def _warnings(settings: Settings) -> list[str]:
    unknown = [
        f"{FLAG}{name.upper()} is set, and no flag of the service"
        for name in flags.unknown(settings)
    ]
    return [*settings.warnings, *unknown]


def _shown(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, Rate):
        return f"{value.count} per {value.seconds} seconds"
    if isinstance(value, tuple):
        return ",".join(value)
    return redacted(value)


def _client(settings: Settings, forwarded_for: str, peer: str) -> Finding:
    """Whom the service would take a request for, that `peer` brings with this header."""
    seen: dict[str, str] = {}

    def look(environ: Any, _: Any) -> list[bytes]:
        seen["address"] = limits.group(edge.plain(environ["REMOTE_ADDR"]))
        return []

    hops = settings.proxy_hops
    environ: Any = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded_for}
    never_called: Any = None
    edge.behind_proxies(look, hops)(environ, never_called)
    address = seen["address"]
    return {"address": address, "x_forwarded_for": forwarded_for, "peer": peer, "hops": hops}


def _database(settings: Settings, url: SecretStr) -> Finding:
    quick = settings.model_copy(update={"database_connect_retries": 0})
    engine = make_engine(url, quick, "doctor")
    try:
        with engine.connect() as connection:
            found = connection.execute(text("SHOW server_version")).scalar_one()
            most = connection.execute(text(budget.LIMIT)).scalar_one()
    except DBAPIError as error:
        return {"ok": False, "problem": str(error.orig).strip()}
    finally:
        engine.dispose()
    opens = sum(use.sum for use in budget.uses(settings, 1, 1, 1))
    too_many = {"warning": "too many: see `python -m service connections`"} if opens > most else {}
    return {"ok": True, "version": found, "allows": most, "we_may_open": opens, **too_many}


def _schema(settings: Settings) -> Finding:
    _, code = migrations.known()
    try:
        found, state = migrations.inspect(settings)
    except DBAPIError as error:
        return {"ok": False, "code": code, "problem": str(error.orig).strip()}
    hints = {"behind": "run `python -m service migrate`", "diverged": migrations.diverged(found)}
    hint = {"hint": hints[state]} if state in hints else {}
    return {"ok": not hint, "code": code, "database": found, "state": state, **hint}


def _redis(settings: Settings) -> Finding:
    try:
        with make_client(settings, socket_connect_timeout=2, socket_timeout=2) as client:
            info = client.info()
    except RedisError as error:
        return {"ok": False, "problem": str(error)}
    kind = "valkey" if "valkey_version" in info else "redis"
    found = info.get("valkey_version") or info.get("redis_version")
    return {
        "ok": True,
        "version": f"{kind} {found}",
        "maxmemory_policy": info.get("maxmemory_policy"),
    }


def _lines(report: dict[str, Any]) -> Iterator[str]:
    bold, good, bad, end = (
        ("\033[1m", "\033[32m", "\033[31m", "\033[0m") if _colours() else ("",) * 4
    )
    yield f"{bold}Settings{end}"
    width = max(map(len, report["settings"]))
    for name, each in report["settings"].items():
        value = "-" if each["value"] in (None, "") else each["value"]
        yield f"  {name:{width}}  {value}" + (
            "" if each["from"] == "default" else f"  [{each['from']}]"
        )
    if report["flags"]:
        yield f"{bold}Flags{end}"
    for name, each in report["flags"].items():
        yield f"  {name}  on for {each['on']}: {each['about']}"
    for each in report["warnings"]:
        yield f"{bad}Warning{end}: {each}"
    web, client = report["web"], report["client"]
    yield f"{bold}Web{end}"
    yield f"  {web['processes']} processes of {web['threads']} threads, because: {web['because']}"
    yield (
        f"  a request from {client['peer']} with X-Forwarded-For: {client['x_forwarded_for']}"
        f" counts for {client['address']} (PROXY_HOPS={client['hops']})"
    )
    for part in filter(report.__contains__, ("database", "replica", "schema", "redis")):
        found = dict(report[part])
        mark = f"{good}ok{end}" if found.pop("ok") else f"{bad}FAILED{end}"
        about = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in found.items())
        yield f"{bold}{part.capitalize()}{end}\n  {mark}: {about}"
    libraries = ", ".join(f"{name} {found}" for name, found in report["libraries"].items())
    yield f"{bold}Runtime{end}\n  Python {report['python']}, {libraries}"


def _colours() -> bool:
    return sys.stdout.isatty()
