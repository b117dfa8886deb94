"""Which of the service's variables provisioning knows, and what they are on a server."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from deploy.vps.provision.secrets import Secrets
from deploy.vps.servers import Fleet, Server

ADDRESSES = ("DATABASE_URL", "REDIS_URL")
HTTPS_ONLY = "HTTPS_ONLY"  # what servers.toml says of tls
_OWN = {
    # scheme: user, port and path, as `variables` spells them
    "postgresql": ("slipway", 5432, "/slipway"),
    "redis": ("", 6379, "/0"),
}
_PASSWORD = re.compile(r"[0-9a-f]{64}")  # as secrets.sh makes them


def variables(fleet: Fleet, server: Server, secrets: Secrets) -> dict[str, str]:
    """What the service needs on this server, and provisioning knows."""
    found = {"APP_ENV": "production"}
    if fleet.database:
        here = fleet.database == server
        where = _host(fleet.database, here)
        mode = "" if here else "?sslmode=require"
        found["DATABASE_URL"] = (
            f"postgresql://slipway:{secrets.database}@{where}:5432/slipway{mode}"
        )
    if fleet.redis:
        where = _host(fleet.redis, fleet.redis == server)
        found["REDIS_URL"] = f"redis://:{secrets.redis}@{where}:6379/0"
    found |= {
        "JWT_SECRET": secrets.jwt,
        "SMOKE_TOKEN": secrets.smoke,
        "METRICS_TOKEN": secrets.metrics,
        # nginx of this server, whether it stands behind a balancer or not.
        "PROXY_HOPS": "1",
        # Where there is none, each request would be sent to an https that is not there.
        HTTPS_ONLY: "false" if fleet.tls == "none" else "true",
    }
    return found


def _host(server: Server, here: bool) -> str:
    if here:
        return "127.0.0.1"
    return f"[{server.private}]" if ":" in server.private else server.private


def hosts(fleet: Fleet) -> set[str]:
    """By which addresses the fleet's servers reach each other, and themselves."""
    return {"127.0.0.1", *(each.private for each in fleet.servers)}


def made_here(value: str, hosts: set[str]) -> bool:
    """Is it an address that provisioning has made, now or when the fleet was another? Not one that
    `env set` was given: of somebody else's database, or of a pooler."""
    try:
        url = urlsplit(value)
        own = (url.username or "", url.port, url.path) == _OWN.get(url.scheme)
    except ValueError:
        return False
    known = url.hostname in hosts or _PASSWORD.fullmatch(url.password or "")
    return own and bool(known)


def unserved(there: Mapping[str, str], wanted: Mapping[str, str], hosts: set[str]) -> Iterator[str]:
    """Addresses that neither a role nor `env set` gives, in words."""
    for name in ADDRESSES:
        value = there.get(name, "")
        if name not in wanted and (not value or made_here(value, hosts)):
            role = name.removesuffix("_URL").lower()
            now = f"still leads to {urlsplit(value).hostname}" if value else "is not set"
            yield f"no server has the role {role}, and {name} {now}: `vps env set {name}`"


def renewed(value: str, wanted: str, hosts: set[str]) -> str:
    """What is to be in the place of an address; itself, if that is well, or not ours to change.
    Options that somebody gave it stay."""
    if not wanted or not made_here(value, hosts):
        return value
    options = urlsplit(value).query
    if options in ("", "sslmode=require"):
        return wanted
    return urlsplit(wanted)._replace(query=options).geturl()
