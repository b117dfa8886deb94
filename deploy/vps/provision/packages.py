"""What is installed, by role; and a package manager that was interrupted is put right first."""

from collections.abc import Sequence

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploy.vps.provision.facts import Packages, Said
from deploy.vps.provision.operations import Act, Acts, step
from deploy.vps.provision.preflight import About
from deploy.vps.servers import Fleet, Server

# openssh-client: copies of back-ups, and code that is fetched by ssh.
ALWAYS = (
    "ca-certificates curl git logrotate nftables openssh-client openssl python3 python3-venv sudo"
    " unattended-upgrades"
).split()
BY_ROLE: dict[str, tuple[str, ...]] = {
    "web": ("nginx", "postgresql-client"),
    "worker": ("postgresql-client",),
    "balancer": ("nginx",),
    "database": ("postgresql", "postgresql-client"),
    "redis": ("redis-server",),
}
# They set the clock as well, and cannot be installed beside it.
OTHER_CLOCKS = {"chrony", "ntpsec"}
# No questions; files that were changed stay; another apt that begins between is waited for.
APT = (
    "env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get -y -q"
    " -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confdef"
    " -o Dpkg::Options::=--force-confold -o Acquire::Retries=3"
).split()

CONFIGURE = (
    "env DEBIAN_FRONTEND=noninteractive dpkg --force-confdef --force-confold --configure -a"
).split()


def apply(fleet: Fleet, server: Server, *, update: bool = False) -> None:
    about: About = host.data.about
    step("packages", _repaired)
    step("packages", installed, wanted(fleet, server, about))
    if update:
        step("packages", _upgraded)


def wanted(fleet: Fleet, server: Server, about: About) -> list[str]:
    found = {*ALWAYS, *(name for role in server.roles for name in BY_ROLE[role])}
    if not about.container:
        found.add("systemd-timesyncd")
    if fleet.tls == "letsencrypt" and fleet.front == server:
        found.add("certbot")
    if fleet.monitoring.prometheus:
        found.add("prometheus-node-exporter")
    return sorted(found)


@operation()
def _repaired() -> Acts:
    """What was interrupted (a reboot, a full disk) is brought to its end."""
    updates = host.get_fact(Said, asked=["find", "/var/lib/dpkg/updates", "-type", "f"])
    if updates or host.get_fact(Said, asked=["dpkg", "--audit"]):
        yield Act("dpkg --configure -a", CONFIGURE)
        yield Act("apt-get install --fix-broken", [*APT, "install", "--fix-broken"])


@operation()
def installed(names: Sequence[str]) -> Acts:
    there = host.get_fact(Packages, names=[*names, *OTHER_CLOCKS])
    if there & OTHER_CLOCKS:
        there.add("systemd-timesyncd")
    if missing := [name for name in names if name not in there]:
        yield Act("apt-get update", [*APT, "update"])
        says = f"install {', '.join(missing)}"
        yield Act(says, [*APT, "install", "--no-install-recommends", *missing])


@operation()
def _upgraded() -> Acts:
    """With --update: all packages of the distribution."""
    yield Act("apt-get update", [*APT, "update"])
    yield Act("apt-get upgrade", [*APT, "upgrade"])
