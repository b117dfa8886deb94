"""The server itself: security updates, time, swap, the journal's size, log rotation."""

from collections.abc import Sequence

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploy.vps.provision.entries import Entry, File, Folder
from deploy.vps.provision.facts import Said
from deploy.vps.provision.operations import Act, Acts, files, settle, step, units
from deploy.vps.provision.preflight import About
from deploy.vps.servers import Fleet, Server

SWAP = "/swapfile"
SWAP_BELOW = 2 * 1024**2  # KiB of memory
SWAP_SIZE = 1024**3  # bytes
MADE = "# Made by `python -m deploy vps provision`, which makes it anew: changes here are lost.\n"
# For a unit of Debian's that listens at the private address: that may come up late. What fails is
# started again, however often.
ANYWAY = MADE + (
    "[Unit]\n"
    "After=network-online.target\n"
    "Wants=network-online.target\n"
    "StartLimitIntervalSec=0\n"
    "\n"
    "[Service]\n"
    "Restart=on-failure\n"
    "RestartSec=1s\n"
)

# What is to be updated is the distribution's own choice (its security archive); no reboot, which
# would be for the operator to choose: `needrestart` and /run/reboot-required say that one is due.
UPGRADES = (
    "//" + MADE[1:] + 'APT::Periodic::Update-Package-Lists "1";\n'
    'APT::Periodic::Unattended-Upgrade "1";\n'
    'APT::Periodic::AutocleanInterval "7";\n'
    'Unattended-Upgrade::Automatic-Reboot "false";\n'
    'Unattended-Upgrade::Remove-Unused-Kernel-Packages "true";\n'
    # Nobody is there to answer: a file that was changed here stays as it is.
    'Dpkg::Options { "--force-confdef"; "--force-confold"; };\n'
)
JOURNAL = MADE + (
    "[Journal]\n"
    "Storage=persistent\n"
    "SystemMaxUse=1G\n"
    "SystemKeepFree=1G\n"
    "MaxRetentionSec=3month\n"
    # A loop that logs cannot push out what others have said.
    "RateLimitIntervalSec=30s\n"
    "RateLimitBurst=20000\n"
)
ROTATE = MADE + (
    "/var/log/nginx/*.log {\n"
    "    daily\n"
    "    rotate 14\n"
    "    maxsize 200M\n"
    "    missingok\n"
    "    notifempty\n"
    "    compress\n"
    "    delaycompress\n"
    "    create 0640 www-data adm\n"
    "    sharedscripts\n"
    "    postrotate\n"
    # USR1 opens the logs anew; a reload would close idle connections.
    '        [ ! -f /run/nginx.pid ] || kill -USR1 "$(cat /run/nginx.pid)"\n'
    "    endscript\n"
    "}\n"
)


def apply(fleet: Fleet, server: Server) -> None:
    about: About = host.data.about
    nginx = server.has("web") or server.has("balancer")
    step("system", files, system_files(nginx))
    step("system", settle, "systemd-journald", ["systemctl", "restart", "systemd-journald"])
    step(
        "updates",
        units,
        ["apt-daily.timer", "apt-daily-upgrade.timer", "unattended-upgrades.service"],
    )
    step("time", _time, about.container)
    step("swap", _swap, about.memory, about.container)


def system_files(nginx: bool) -> Sequence[Entry]:
    found: list[Entry] = [
        File("/etc/apt/apt.conf.d/52slipway", UPGRADES),
        Folder("/etc/systemd/journald.conf.d"),
        File("/etc/systemd/journald.conf.d/slipway.conf", JOURNAL, pending="systemd-journald"),
    ]
    # In the place of the package's own file: two that name the same logs are an error.
    return [*found, File("/etc/logrotate.d/nginx", ROTATE)] if nginx else found


@operation()
def _time(container: str) -> Acts:
    """A container's clock is its host's: there is nothing to set, and no right to."""
    if container:
        return
    state = host.get_fact(Said, asked=["timedatectl", "show", "-p", "NTP", "--value"])
    if state != ["yes"]:
        yield Act("set the clock by the network", ["timedatectl", "set-ntp", "true"], may_fail=True)


# $1 the file, $2 its bytes.
MAKE_SWAP = """set -eu
umask 077
trap 'rm -f "$1.new"' EXIT
rm -f "$1.new"
fallocate -l "$2" "$1.new" || dd if=/dev/zero of="$1.new" bs=1M count=$(($2 / 1048576)) status=none
mkswap "$1.new" >/dev/null
swapon "$1.new"
swapoff "$1.new"
mv -f "$1.new" "$1"
swapon "$1"
grep -q "^$1 " /etc/fstab || echo "$1 none swap sw 0 0" >>/etc/fstab
"""


@operation()
def _swap(memory: int, container: str) -> Acts:
    """Where memory is short: what is slow for a minute is not killed."""
    if memory >= SWAP_BELOW or container:
        return
    if not host.get_fact(Said, asked=["swapon", "--noheadings", "--show=NAME"]):
        command = ["sh", "-c", MAKE_SWAP, "swap", SWAP, str(SWAP_SIZE)]
        yield Act(f"make {SWAP}, {SWAP_SIZE // 1024**2} MiB", command, may_fail=True)


def no_swap(about: About) -> str:
    """Why a server that is short of memory gets no swap; empty if it does, or needs none."""
    if about.memory < SWAP_BELOW and not about.swap and about.container:
        return f"no swap, though memory is short: a {about.container} container cannot have its own"
    return ""
