"""What Prometheus asks a server: Debian's node exporter, worker and scheduler, and a file of ours.

web is asked through nginx (edge.py). Without `[monitoring]` nothing of this is there, but for the
exporter if it was once: the firewall lets nobody ask it.
"""

from pathlib import Path

from deploy.vps.provision.entries import Entry, File, Folder, Gone
from deploy.vps.provision.operations import files, settle, step, units
from deploy.vps.provision.system import ANYWAY, MADE
from deploy.vps.scrape import PORTS
from deploy.vps.servers import Fleet, Server

UNITS = Path(__file__).resolve().parent.parent / "units"
SYSTEM = "/etc/systemd/system"
METRICS = "/srv/slipway/metrics"  # where `slipway measure` writes
EXPORTER = "prometheus-node-exporter.service"
TIMER = "slipway-measure.timer"
OURS = ("worker", "scheduler")
UNIT_FILES = ("slipway-measure.service", TIMER)


def apply(fleet: Fleet, server: Server) -> None:
    wanted = bool(fleet.monitoring.prometheus)
    if not wanted:  # the exporter stays: it may be somebody's own, and the firewall is closed
        step("monitoring", units, (), (), [TIMER])
    step("monitoring", files, [*exporter(fleet, server), *ours(fleet), *ports(fleet, server)])
    step("monitoring", settle, "systemd", ["systemctl", "daemon-reload"])
    if wanted:
        again = [["systemctl", "daemon-reload"], ["systemctl", "restart", EXPORTER]]
        step("monitoring", settle, "node-exporter", *again)
        step("monitoring", units, [EXPORTER, TIMER])
    commands = [["systemctl", "daemon-reload"]]
    if server.has("worker"):
        # Jobs in hand go back to the queue. Before the first release neither runs.
        commands.append(["systemctl", "try-restart", *(f"slipway-{name}.service" for name in OURS)])
    step("monitoring", settle, "metrics-ports", *commands)


def exporter(fleet: Fleet, server: Server) -> list[Entry]:
    """Its arguments, in the place of Debian's, which are none: it would listen everywhere."""
    if not fleet.monitoring.prometheus:
        return []
    host = f"[{server.private}]" if ":" in server.private else server.private
    arguments = (
        f"--web.listen-address={host}:{PORTS['node']} --collector.textfile.directory={METRICS}"
    )
    path = "/etc/default/prometheus-node-exporter"
    dropin = f"{SYSTEM}/{EXPORTER}.d"
    return [
        Folder(dropin),
        File(f"{dropin}/slipway.conf", ANYWAY, pending="node-exporter"),
        File(path, f'{MADE}ARGS="{arguments}"\n', pending="node-exporter"),
    ]


def ours(fleet: Fleet) -> list[Entry]:
    """What measures, every five minutes, what no exporter knows."""
    paths = {name: f"{SYSTEM}/{name}" for name in UNIT_FILES}
    if not fleet.monitoring.prometheus:
        return [Gone(path, pending="systemd") for path in paths.values()]
    return [
        Folder(METRICS, owner="deploy", group="deploy", by="deploy"),
        *(
            File(path, (UNITS / name).read_text(), pending="systemd")
            for name, path in paths.items()
        ),
    ]


def ports(fleet: Fleet, server: Server) -> list[Entry]:
    """METRICS_PORT, a port each: two programs on one server."""
    found: list[Entry] = []
    for name in OURS:
        folder = f"{SYSTEM}/slipway-{name}.service.d"
        path = f"{folder}/metrics.conf"
        if fleet.monitoring.prometheus and server.has("worker"):
            text = f"{MADE}[Service]\nEnvironment=METRICS_PORT={PORTS[name]}\n"
            found += [Folder(folder), File(path, text, pending="metrics-ports")]
        else:
            found.append(Gone(path, pending="metrics-ports"))
    return found
