"""nginx: its files, and a reload only if one of them changed (a reload closes idle connections)."""

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploy.vps import edge
from deploy.vps.provision.entries import Entry, File
from deploy.vps.provision.facts import Said, Units
from deploy.vps.provision.operations import Acts, differing, disabled, settle, step, units
from deploy.vps.provision.services import WEB, runs
from deploy.vps.servers import Fleet, Server

FOLDER = "/etc/nginx"
OLDEST = (1, 22, 1)  # Debian 12's; in a dry run, where none is installed yet


def apply(fleet: Fleet, server: Server) -> None:
    if edge.kinds(fleet, server):
        step("nginx", _files, fleet, server)
        step("nginx", settle, "nginx", ["nginx", "-t", "-q"], RELOAD, says="reload nginx")
        step("nginx", units, ["nginx.service"])


def last(fleet: Fleet, server: Server) -> None:
    """nginx of a role that it had."""
    if not edge.kinds(fleet, server):
        step("nginx", _off)


@operation()
def _off() -> Acts:
    """Unless web goes on, for want of another (services.py)."""
    if not any(map(runs, host.get_fact(Units, units=WEB).values())):
        found = host.get_fact(Units, units=["nginx.service"])
        yield from disabled(found)


RELOAD = ["systemctl", "reload-or-restart", "nginx.service"]


@operation()
def _files(fleet: Fleet, server: Server) -> Acts:
    """What they are depends on the version, which is known when it is installed."""
    said = host.get_fact(Said, asked=["sh", "-c", "command -v nginx >/dev/null && nginx -v 2>&1"])
    ipv6 = bool(host.get_fact(Said, asked=["cat", "/proc/net/if_inet6"]))
    version = edge.version("".join(said)) if said else OLDEST
    balancer = [fleet.balancer.private] if fleet.balancer else []
    made = edge.files(fleet, server, edge.Nginx(version, ipv6), balancer)
    entries: list[Entry] = [
        File(f"{FOLDER}/{name}", content, pending="nginx") for name, content in made.items()
    ]
    yield from differing(entries)
