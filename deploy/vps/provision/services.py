"""systemd's units for the service: which a server has, and which of them run by themselves."""

from pathlib import Path

from deploy.vps.provision.operations import Entry, File, Folder, Gone, files, settle, step, units
from deploy.vps.provision.system import MADE
from deploy.vps.servers import Fleet, Role, Server

UNITS = Path(__file__).resolve().parent.parent / "units"
SYSTEM = "/etc/systemd/system"
# By the roles of which a server needs one; a folder is of drop-ins.
WHERE: dict[str, tuple[Role, ...]] = {
    "slipway-.service.d/hardening.conf": ("web", "worker", "database"),
    "slipway-web@.service": ("web",),
    "slipway-web@blue.socket": ("web",),
    "slipway-web@green.socket": ("web",),
    "slipway-boot.service": ("web",),
    "slipway-migrate@.service": ("web", "worker"),
    "slipway-worker.service": ("worker",),
    "slipway-scheduler.service": ("worker",),
    "slipway-backup.service": ("database",),
    "slipway-backup.timer": ("database",),
    "nginx.service.d/slipway.conf": ("web", "balancer"),
}
# Begun by the first release, and at each boot after it.
AT_BOOT = ("slipway-boot.service", "slipway-worker.service", "slipway-scheduler.service")
TIMERS = ("slipway-backup.timer",)


def apply(fleet: Fleet, server: Server) -> None:
    ours = [name for name, roles in WHERE.items() if any(map(server.has, roles))]
    step("units", files, unit_files(fleet, server))
    step("units", settle, "systemd", "systemctl daemon-reload", ["systemctl", "daemon-reload"])
    timers = [name for name in TIMERS if name in ours]
    step("units", units, timers, [name for name in AT_BOOT if name in ours])


def unit_files(fleet: Fleet, server: Server) -> list[Entry]:
    """Those of the server's roles, and that the others are not there: a role may have gone."""
    found: list[Entry] = []
    for name, roles in WHERE.items():
        path = f"{SYSTEM}/{name}"
        if not any(map(server.has, roles)):
            found.append(Gone(path, pending="systemd"))
            continue
        if "/" in name:
            found.append(Folder(str(Path(path).parent)))
        found.append(File(path, (UNITS / name).read_text(), pending="systemd"))
    if server.has("database"):
        found += backup_time(fleet.backups.at)
    return found


def backup_time(at: str) -> list[Entry]:
    """`at` is HH:MM, in UTC whatever the server's zone is."""
    folder = f"{SYSTEM}/slipway-backup.timer.d"
    text = f"{MADE}[Timer]\nOnCalendar=\nOnCalendar=*-*-* {at} UTC\n"
    return [Folder(folder), File(f"{folder}/at.conf", text, pending="systemd")]
