"""systemd's units for the service: which a server has, and which of them run by themselves."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploy.vps.provision.before import has_release
from deploy.vps.provision.connection import Line
from deploy.vps.provision.entries import Entry, File, Folder, Gone
from deploy.vps.provision.facts import Said, Units
from deploy.vps.provision.operations import (
    Act,
    Acts,
    Note,
    differing,
    disabled,
    files,
    settle,
    step,
    units,
)
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
WEB = [f"slipway-web@{colour}.{kind}" for kind in ("socket", "service") for colour in COLOURS]
# What a server stops when it loses a role.
RUNS: dict[Role, list[str]] = {
    "web": [*WEB, "slipway-boot.service"],
    "worker": ["slipway-worker.service", "slipway-scheduler.service"],
    "database": [*TIMERS],
}
NEEDED = ("web", "worker")  # without which there is no service


def apply(fleet: Fleet, server: Server) -> None:
    ours = [name for name, roles in WHERE.items() if any(map(server.has, roles))]
    step("units", files, unit_files(fleet, server))
    reload = ["systemctl", "daemon-reload"]
    if not (paths := verified(ours)):  # a balancer, with drop-ins alone
        step("units", settle, "systemd", reload)
        return
    verify = ["systemd-analyze", "verify", "--recursive-errors=no", *paths]
    step("units", settle, "systemd", verify, reload)
    timers = [name for name in TIMERS if name in ours]
    at_boot = [name for name in AT_BOOT if name in ours]
    step("units", units, timers, at_boot)
    step("units", _started, at_boot)


# Nobody releases, and there is a release that serves or works. A look is shared, as those of
# host/lock.py are: whoever wants to release does not meet it. $1 the folder.
IDLE = """cd "$1" && [ -s history ] || exit 0
for name in lock hold; do
    [ ! -e "$name" ] || flock --shared --nonblock "$name" true || exit 0
done
echo idle
"""


@operation()
def _started(names: Sequence[str]) -> Acts:
    """What a boot starts, and somebody has stopped; not while a release does so in its order."""
    looked = host.get_fact(Said, asked=["sh", "-c", IDLE, "idle", "/srv/slipway"])
    if looked != ["idle"]:
        return
    states = host.get_fact(Units, units=[*names, *WEB])
    web_runs = any(
        runs(states[unit]) for unit in WEB if unit.endswith(".service") and unit in states
    )
    for name in names:
        if name == "slipway-boot.service":
            if not web_runs:
                yield Act("start web", ["systemctl", "restart", name])
        elif states.get(name, {}).get("ActiveState") in ("inactive", "failed"):
            yield Act("", ["systemctl", "reset-failed", name], may_fail=True)
            yield Act(f"start {name}", ["systemctl", "start", name])


def last(fleet: Fleet, server: Server) -> None:
    """What a server has run for a role that it lost: after all servers have done the rest, so that
    nobody asks it any more."""
    step("lost roles", _lost, fleet, server)
    step("lost roles", settle, "systemd", ["systemctl", "daemon-reload"])


@operation()
def _lost(fleet: Fleet, server: Server) -> Acts:
    """Who is the last to do something goes on with it."""
    line: Line = host.data.line
    kept: set[Role] = set()
    for role in lost_roles(server):
        states = host.get_fact(Units, units=RUNS[role])
        others = [Line(line.ssh, each) for each in fleet.with_role(role) if each != server]
        needed = role in NEEDED and any(map(runs, states.values()))
        if needed and not any(map(has_release, others)):
            yield Note(f"goes on as {role} until another has a release: `vps release`, then again")
            kept.add(role)
        else:
            yield from disabled(states)
    yield from differing(gone_files({*server.roles, *kept}))


def lost_roles(server: Server) -> list[Role]:
    """Those that a server has not, and may have had."""
    return [role for role in RUNS if not server.has(role)]


def runs(state: Mapping[str, str]) -> bool:
    return state.get("ActiveState") == "active"


def verified(ours: Sequence[str]) -> list[str]:
    """Paths of what systemd is to look at: of a template, one of what it makes."""
    names = [name.replace("@.", "@blue.") for name in ours if "/" not in name]
    return [f"{SYSTEM}/{name}" for name in names]


def unit_files(fleet: Fleet, server: Server) -> list[Entry]:
    """Those of the server's roles."""
    found: list[Entry] = []
    for name, roles in WHERE.items():
        path = f"{SYSTEM}/{name}"
        if not any(map(server.has, roles)):
            continue
        if "/" in name:
            found.append(Folder(str(Path(path).parent)))
        found.append(File(path, (UNITS / name).read_text(), pending="systemd"))
    if server.has("database"):
        found += backup_time(fleet.backups.at)
    return found


def gone_files(roles: Collection[Role]) -> list[Entry]:
    """Those of the other roles, which are not to be there."""
    return [
        Gone(f"{SYSTEM}/{name}", pending="systemd")
        for name, needs in WHERE.items()
        if not {*needs} & {*roles}
    ]


def backup_time(at: str) -> list[Entry]:
    """`at` is HH:MM, in UTC whatever the server's zone is."""
    folder = f"{SYSTEM}/slipway-backup.timer.d"
    text = f"{MADE}[Timer]\nOnCalendar=\nOnCalendar=*-*-* {at} UTC\n"
    return [Folder(folder), File(f"{folder}/at.conf", text, pending="systemd")]
