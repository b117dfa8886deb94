"""What a server has beyond what it needs to work, so that a hole in one thing is not one in all.

What each file is for, it says itself (deploy/vps/hardening); what was left out, hardening.md.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploy.vps.provision.entries import Entry, File, Folder
from deploy.vps.provision.facts import Paths, Said
from deploy.vps.provision.operations import Act, Acts, differing, files, settle, step, units
from deploy.vps.provision.packages import installed
from deploy.vps.provision.preflight import About
from deploy.vps.provision.system import MADE
from deploy.vps.servers import Fleet, Server

PARTS = Path(__file__).resolve().parent.parent / "hardening"
PACKAGES = (
    # python3-systemd: with it fail2ban reads the journal, as there is no other log of sshd.
    "aide apt-listchanges debsums fail2ban libpam-pwquality libpam-tmpdir needrestart"
    " python3-systemd"
).split()
FILES = {
    "/etc/aide/aide.conf": "aide.conf",
    "/etc/modprobe.d/slipway.conf": "modules.conf",
    "/etc/needrestart/conf.d/slipway.conf": "needrestart.conf",
    "/etc/profile.d/slipway.sh": "shell.sh",
    "/etc/security/limits.d/slipway.conf": "core-dumps.conf",
    "/etc/security/pwquality.conf.d/slipway.conf": "passwords.conf",
    "/etc/sysctl.d/60-slipway.conf": "kernel.conf",
    "/etc/sysctl.d/61-slipway-network.conf": "network.conf",
    "/etc/systemd/coredump.conf.d/slipway.conf": "coredump.conf",
}
BANNERS = ("/etc/issue", "/etc/issue.net")
FAIL2BAN = "/etc/fail2ban"
UNITS = PARTS.parent / "units"
TIMER = "slipway-integrity.timer"
UNIT_FILES = (
    "slipway-integrity.service",
    "slipway-integrity.service.d/reads-all.conf",
    TIMER,
)
# For who sets a password all the same, and for what is made by hand.
LOGIN = {"SHA_CRYPT_MIN_ROUNDS": "65536", "SHA_CRYPT_MAX_ROUNDS": "65536", "UMASK": "027"}
# Nobody but root has to read them; what is not there is left so.
MODES = {
    "/etc/cron.d": "700",
    "/etc/cron.daily": "700",
    "/etc/cron.hourly": "700",
    "/etc/cron.monthly": "700",
    "/etc/cron.weekly": "700",
    "/etc/crontab": "600",
    "/etc/ssh/sshd_config": "600",
    "/root": "700",
}


def apply(fleet: Fleet, server: Server) -> None:
    about: About = host.data.about
    step("hardening", installed, PACKAGES)
    step("hardening", files, [*entries(), *banning(fleet, server)])
    step("hardening", settle, "systemd", ["systemctl", "daemon-reload"])
    step("hardening", settle, "fail2ban", ["systemctl", "restart", "fail2ban.service"])
    step("hardening", units, ["fail2ban.service"])
    step("hardening", _kernel, about.container)
    step("hardening", _modes)
    step("hardening", _login)
    step("hardening", units, [TIMER])


def last(fleet: Fleet, server: Server) -> None:
    """After all else that is done to a server: what is there now is what should be there."""
    step("integrity", _baseline)


def entries() -> Iterator[Entry]:
    for path, part in FILES.items():
        yield Folder(str(Path(path).parent))
        yield File(path, MADE + (PARTS / part).read_text())
    yield Folder("/var/lib/aide", mode="700")
    for name in UNIT_FILES:
        path = f"/etc/systemd/system/{name}"
        yield Folder(str(Path(path).parent))
        yield File(path, (UNITS / name).read_text(), pending="systemd")
    for path in BANNERS:
        yield File(path, (PARTS / "banner").read_text())


def banning(fleet: Fleet, server: Server) -> Iterator[Entry]:
    """fail2ban: sshd everywhere, and sign-in where users ask."""
    jail = MADE + (PARTS / "jail.conf").read_text() + f"port = {server.port}\n"
    friends = {name for each in fleet.servers for name in (each.address, each.private)}
    if server == fleet.front:
        jail += (PARTS / "jail-sign-in.conf").read_text()
        filter_ = MADE + (PARTS / "sign-in-filter.conf").read_text()
        yield File(f"{FAIL2BAN}/filter.d/slipway-sign-in.conf", filter_, pending="fail2ban")
    jail += f"\n[DEFAULT]\nignoreip = 127.0.0.1/8 ::1 {' '.join(sorted(friends))}\n"
    yield File(f"{FAIL2BAN}/jail.local", jail, pending="fail2ban")


@operation()
def _kernel(container: str) -> Acts:
    """In force now, too. A container has a network of its own, and its host's kernel."""
    wanted = settings("network.conf") | ({} if container else settings("kernel.conf"))
    lines = host.get_fact(Said, asked=["sysctl", "--ignore", *wanted])
    there = dict(_pair(line) for line in lines)
    # What this kernel does not have (IPv6, say) is not to be set.
    if differing := {name: wanted[name] for name in there if there[name] != wanted[name]}:
        words = [f"{name}={value}" for name, value in differing.items()]
        yield Act(f"sysctl {' '.join(words)}", ["sysctl", "--quiet", *words])


def settings(part: str) -> dict[str, str]:
    lines = (PARTS / part).read_text().splitlines()
    return dict(_pair(line) for line in lines if line and not line.startswith("#"))


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name.strip(), value.strip()


@operation()
def _modes() -> Acts:
    found = host.get_fact(Paths, paths=list(MODES))
    for path, mode in differing_modes({path: each.mode for path, each in found.items()}):
        yield Act(f"chmod {mode} {path}", ["chmod", mode, path])


def differing_modes(found: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((path, MODES[path]) for path in found if found[path] != MODES[path])


@operation()
def _login() -> Acts:
    lines = host.get_fact(Said, asked=["cat", "/etc/login.defs"])
    text = "".join(f"{line}\n" for line in lines)
    yield from differing([File("/etc/login.defs", with_login(text))])


def with_login(text: str) -> str:
    """login.defs with our settings, in the place of its own."""
    kept = [line for line in text.splitlines() if line.split(None, 1)[:1] not in _NAMES]
    return "\n".join([*kept, *(f"{name} {value}" for name, value in LOGIN.items()), ""])


_NAMES = [[name] for name in LOGIN]

AIDE = "aide --config=/etc/aide/aide.conf"
SAME = f"{AIDE} --check >/dev/null && echo same"
INIT = f"{AIDE} --init >/dev/null && cd /var/lib/aide && mv -f slipway.db.new slipway.db"


@operation()
def _baseline() -> Acts:
    """Only if something differs: so the second run changes nothing."""
    if host.get_fact(Said, asked=["sh", "-c", SAME]) != ["same"]:
        yield Act("take the files that are there now as right (aide)", ["sh", "-c", INIT])
