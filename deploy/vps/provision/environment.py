"""The service's .env on a server: made once; later, what is there stays, and what is missing is
added, as a new version. `slipway env set` changes it."""

import time

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploy.vps.provision.facts import Said
from deploy.vps.provision.operations import Act, Acts, step
from deploy.vps.provision.secrets import Secrets
from deploy.vps.servers import Fleet, Server

FOLDER = "/srv/slipway/env"
# The old version, to the end of its last line, and what is read, as a new one; then the link.
# $1 the folder, $2 the new version's name.
ADD = """set -eu
umask 077
cd "$1"
{ if [ -e current ]; then sed '$a\\' current; fi; cat; } >"$2.new"
chown deploy:slipway "$2.new"
chmod 640 "$2.new"
mv -f "$2.new" "$2"
ln -sfn "$2" current.new
mv -fT current.new current
"""


def apply(fleet: Fleet, server: Server, secrets: Secrets) -> None:
    step("environment", _environment, fleet, server, secrets)


@operation()
def _environment(fleet: Fleet, server: Server, secrets: Secrets) -> Acts:
    names = ["sed", "-n", "s/^\\([A-Z][A-Z0-9_]*\\)=.*/\\1/p", f"{FOLDER}/current"]
    there = host.get_fact(Said, asked=names)
    wanted = variables(fleet, server, secrets)
    if missing := {name: value for name, value in wanted.items() if name not in there}:
        version = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + ".env"
        given = "".join(f"{name}={value}\n" for name, value in missing.items())
        says = f"add {', '.join(missing)} to .env"
        yield Act(says, ["sh", "-c", ADD, "add", FOLDER, version], given)


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
    }
    if fleet.tls == "none":
        found["HTTPS_ONLY"] = "false"  # or each request would be sent to an https that is not there
    return found


def _host(server: Server, here: bool) -> str:
    if here:
        return "127.0.0.1"
    return f"[{server.private}]" if ":" in server.private else server.private
