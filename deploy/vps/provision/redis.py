"""Redis: for jobs and rate limits, so that it keeps what it has, and says when it is full."""

from functools import partial

from pyinfra.context import host

from deploy.vps.provision.entries import Entry, File, Folder
from deploy.vps.provision.firewall import clients
from deploy.vps.provision.operations import files, settle, step, units
from deploy.vps.provision.preflight import About, steps
from deploy.vps.provision.secrets import Secrets
from deploy.vps.provision.system import MADE
from deploy.vps.servers import Fleet, Server

PATH = "/etc/redis/slipway.conf"
SECRET = "/etc/redis/slipway-password.conf"  # noqa: S105
SYSCTL = "/etc/sysctl.d/60-slipway-redis.conf"
DROPIN = "/etc/systemd/system/redis-server.service.d"
# The package's own file stays as it is, so that an update of it asks nothing.
UNIT = MADE + (
    "[Unit]\n"
    "After=network-online.target\n"
    "Wants=network-online.target\n"
    "StartLimitIntervalSec=0\n"  # else it is given up after five quick failures
    "\n"
    "[Service]\n"
    "ExecStart=\n"
    f"ExecStart=/usr/bin/redis-server {PATH} --supervised systemd --daemonize no\n"
    "Restart=always\n"
    "RestartSec=1s\n"
)
# What nobody needs here and an intruder would: to empty it, write files, load code.
OFF = "FLUSHALL FLUSHDB CONFIG DEBUG MODULE KEYS SHUTDOWN REPLICAOF SLAVEOF MIGRATE".split()


def apply(fleet: Fleet, server: Server, secrets: Secrets) -> None:
    about: About = host.data.about
    step("redis", files, redis_files(fleet, server, about, secrets))
    step(
        "redis", settle, "sysctl", ["sysctl", "--quiet", f"--load={SYSCTL}"], says="let Redis fork"
    )
    take_up = [["systemctl", "daemon-reload"], ["systemctl", "restart", "redis-server.service"]]
    step("redis", settle, "redis-server", *take_up, says="restart Redis")
    step("redis", units, ["redis-server.service"])


def redis_files(fleet: Fleet, server: Server, about: About, secrets: Secrets) -> list[Entry]:
    ours = partial(File, mode="640", group="redis", pending="redis-server")
    conf, as_good = (settings(fleet, server, memory) for memory in steps(about.memory))
    password = f"requirepass {secrets.redis}\n"
    found: list[Entry] = [
        ours(PATH, conf, as_good=(as_good,)),
        ours(SECRET, password),
        Folder(DROPIN),
        File(f"{DROPIN}/slipway.conf", UNIT, pending="redis-server"),
    ]
    if not about.container:  # whose kernel is not its own
        sysctl = MADE + "# To save its memory Redis forks, which needs none of it twice.\n"
        found.append(File(SYSCTL, sysctl + "vm.overcommit_memory = 1\n", pending="sysctl"))
    return found


def settings(fleet: Fleet, server: Server, memory: int) -> str:
    """`memory` in KiB."""
    share = 0.6 if set(server.roles) == {"redis"} else 0.15
    most = max(64, int(memory * share / 1024))  # MiB
    others = clients(fleet, server)
    bind = ["127.0.0.1", *([server.private] if others else [])]
    lines = [
        f"bind {' '.join(bind)}",
        "port 6379",
        "protected-mode yes",
        f"include {SECRET}",
        "tcp-keepalive 60",
        'logfile ""',
        "dir /var/lib/redis",
        "appendonly yes",
        "appendfsync everysec",
        f"maxmemory {most}mb",
        # Jobs are no cache: none is thrown away to make room for another.
        "maxmemory-policy noeviction",
        *(f'rename-command {name} ""' for name in OFF),
    ]
    return MADE + "".join(f"{line}\n" for line in lines)
