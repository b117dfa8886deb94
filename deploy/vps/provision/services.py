"""systemd's units for the service: which a server has, and which of them run by themselves."""

from collections.abc import Sequence
from pathlib import Path

from deploy.vps.provision.entries import Entry, File, Folder, Gone
from deploy.vps.provision.operations import files, settle, step, units
from deploy.vps.provision.system import MADE
from deploy.vps.servers import Fleet, Role, Server

UNITS = Path(__file__).resolve().parent.parent / "units"
SYSTEM = "/etc/systemd/system"
# By the roles of which a server needs one; a folder is of drop-ins.
WHERE: dict[str, tuple[Role, ...]] = {
    "slipway-.service.d/hardening.conf": ("web", "worker", "database", "redis", "balancer"),
    "slipway-web@.service": ("web",),
    "slipway-web@blue.socket": ("web",),
    "slipway-web@green.socket": ("web",),
    "slipway-boot.service": ("web",),
    "slipway-migrate@.service": ("web", "worker"),
    "slipway-worker.service": ("worker",),
    "slipway-scheduler.service": ("worker",),
    "slipway-backup.service": ("database",),
    "slipway-backup.timer": ("database",),
    "slipway-backup.service.d/owners.conf": ("database",),
    "nginx.service.d/slipway.conf": ("web", "balancer"),
}
# Begun by the first release, and at each boot after it.
AT_BOOT = ("slipway-boot.service", "slipway-worker.service", "slipway-scheduler.service")
TIMERS = ("slipway-backup.timer",)
COLOURS = ("blue", "green")


def apply(fleet: Fleet, server: Server) -> None:
    ours = [name for name, roles in WHERE.items() if any(map(server.has, roles))]
    step("units", units, (), (), [name for name in running_units() if _file(name) not in ours])
    step("units", files, unit_files(fleet, server))
    verify = ["systemd-analyze", "verify", "--recursive-errors=no", *verified(ours)]
    reload = ["systemctl", "daemon-reload"]
    step("units", settle, "systemd", verify, reload)
    timers = [name for name in TIMERS if name in ours]
    step("units", units, timers, [name for name in AT_BOOT if name in ours])


def running_units() -> list[str]:
    """Those that a server may run, which it is to stop when it loses their role."""
    web = [f"slipway-web@{colour}.{kind}" for kind in ("socket", "service") for colour in COLOURS]
    return [*web, *AT_BOOT, *TIMERS]


def verified(ours: Sequence[str]) -> list[str]:
    """Paths of what systemd is to look at: of a template, one of what it makes."""
    names = [name.replace("@.", "@blue.") for name in ours if "/" not in name]
    return [f"{SYSTEM}/{name}" for name in names]


def _file(unit: str) -> str:
    """What a unit is made of: web's service of a template, its sockets of a file each."""
    return "slipway-web@.service" if unit.startswith("slipway-web@") else unit


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
