"""What a Prometheus is to ask the servers, and by which ports; nothing without `[monitoring]`."""

from collections.abc import Iterator

from deploy.shell import Failed
from deploy.vps.servers import FILE, Fleet, Role, Server

# By who answers. web is asked through nginx, which knows which colour serves.
PORTS = {"node": 9100, "web": 8081, "worker": 9000, "scheduler": 9001}
_ROLES: dict[str, Role] = {"web": "web", "worker": "worker", "scheduler": "worker"}
_JOBS = {"web": ("web",), "jobs": ("worker", "scheduler"), "node": ("node",)}
TOKEN = "/etc/prometheus/metrics-token"  # noqa: S105
_ABOUT = f"""\
# For prometheus.yml; rule_files: deploy/monitoring/rules/*.yml. The token, for Prometheus alone to
# read, in {TOKEN}:
#   python -m deploy vps run sed -n 's/^METRICS_TOKEN=//p' .env
scrape_configs:
"""


def ports(fleet: Fleet, server: Server) -> dict[str, int]:
    """Those that are open to Prometheus on a server, by who answers."""
    if not fleet.monitoring.prometheus:
        return {}
    return {
        name: port for name, port in PORTS.items() if name not in _ROLES or server.has(_ROLES[name])
    }


def scrape_configs(fleet: Fleet) -> str:
    """The part of a prometheus.yml. Raises Failed if nobody is to ask."""
    if not fleet.monitoring.prometheus:
        raise Failed(
            f"{FILE}: monitoring.prometheus names nobody: put in its addresses, and `vps provision`"
        )
    return _ABOUT + "".join(line + "\n" for job in _JOBS for line in _job(fleet, job))


def _job(fleet: Fleet, job: str) -> Iterator[str]:
    """Each target by the name that servers.toml has for it."""
    yield f"  - job_name: {job}"
    if job != "node":
        yield f"    authorization: {{ credentials_file: {TOKEN} }}"
    yield "    static_configs:"
    for server in fleet.servers:
        found = ports(fleet, server)
        if targets := [_target(server, found[name]) for name in _JOBS[job] if name in found]:
            listed = ", ".join(targets)
            yield f"      - {{ targets: [{listed}], labels: {{ server: {server.name} }} }}"


def _target(server: Server, port: int) -> str:
    host = f"[{server.private}]" if ":" in server.private else server.private
    return f'"{host}:{port}"'
