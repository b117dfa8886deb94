"""Is a server one that can be provisioned? Asked before anything is touched, by one program,
probe.sh; what is wrong is said in one line each, with what to do."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import gevent

from deploy.shell import Failed
from deploy.vps.failures import MEANINGS
from deploy.vps.provision.connection import Ended, Line
from deploy.vps.servers import Server

PROBE = Path(__file__).with_name("probe.sh")
OLDEST = {"debian": (12,), "ubuntu": (24, 4)}
OLDEST_PYTHON = (3, 11)
MACHINES = ("x86_64", "aarch64")
LEAST_DISK = 2 * 1024**2  # KiB: packages, two releases with their environment
LEAST_INODES = 50_000
LEAST_MEMORY = 400 * 1024  # KiB
CLOCK_MAY_DIFFER = 300  # seconds: certificates and signed lists of packages begin to be refused
LOCK_WITHIN = 60  # seconds that apt's lock is waited for


@dataclass(frozen=True)
class About:
    """What a server is. KiB; `port` is where its sshd listens; `container` is empty on a machine of
    its own; `known` is its server.json, of who was provisioned before."""

    distribution: str = ""
    version: str = ""
    machine: str = ""
    init: str = ""
    container: str = ""
    python: str = ""
    clock: int = 0
    port: int = 22
    disk: int = 0
    inodes: int = 0
    memory: int = 0
    swap: int = 0
    known: str = ""
    unresolved: tuple[str, ...] = ()
    locked: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()


def steps(memory: int) -> tuple[int, int]:
    """The nearest size of memory in coarse steps, and the one on its other side. A kernel says a
    little more or less after an update: what was written for either may stay, since taking up
    another would end people's connections. KiB."""
    step = 64 * 1024 if memory < 4 * 1024**2 else 512 * 1024
    below, above = memory // step * step, -(-memory // step) * step
    return (below, above) if memory - below < above - memory else (above, below)


def preflight(line: Line, tell: Callable[[str], None]) -> About:
    """Raises Failed, with all that is wrong, a line each."""
    about = _look(line)
    deadline = time.monotonic() + LOCK_WITHIN
    told = False
    while about.locked and time.monotonic() < deadline:
        if not told:
            tell(f"apt is at work: {about.locked[0]}; waiting for up to {LOCK_WITHIN} s")
            told = True
        gevent.sleep(2)
        about = _look(line)
    if found := list(problems(about, time.time())):
        raise Failed("\n".join(found))
    return about


def _look(line: Line) -> About:
    # Their address and port, our address and port; sudo would not pass it on.
    *_, port = _asked(line, ["printenv", "SSH_CONNECTION"]).split()
    said = _asked(line, line.as_root(["sh", "-s"]), PROBE.read_text())
    return replace(read(said), port=int(port))


def _asked(line: Line, command: list[str], given: str = "") -> str:
    ended = line.ask(command, given=given)
    if ended.code:
        raise Failed(refusal(line.server, ended))
    return ended.out


def refusal(server: Server, ended: Ended) -> str:
    """Why ssh, or sudo, did not let us in."""
    where = f"{server.user}@{server.address}" + (f" -p {server.port}" if server.port != 22 else "")
    if ended.code != 255:
        return _no_root(server, ended)
    if "Permission denied" in ended.said:
        return (
            f"{where} does not accept your key: put it there (ssh-copy-id {where}), or is `user` in"
            " deploy/servers.toml another one? ssh-add -l shows the keys that you have"
        )
    for sign, words in MEANINGS:
        if sign in ended.said:
            return words.format(where=where, server=server)
    last = ended.said.strip().splitlines()[-1:] or ["ssh said nothing"]
    return f"the connection to {where} broke: {last[0]}"


def _no_root(server: Server, ended: Ended) -> str:
    said = (ended.said + ended.out).strip()
    if "sudo" in said and server.user != "root":
        return (
            f"{server.user} may not use sudo without a password, which provisioning needs: add"
            f" `{server.user} ALL=(ALL) NOPASSWD: ALL` to /etc/sudoers.d/{server.user}, or set"
            ' `user = "root"`'
        )
    return f"a command ended with {ended.code}: {said.splitlines()[-1] if said else 'no word'}"


def read(said: str) -> About:
    """What probe.sh printed. What it could not find out is empty, or 0."""
    numbers = ("clock", "disk", "inodes", "memory", "swap")
    lists = ("unresolved", "locked", "unfinished")
    found: dict[str, object] = {}
    for line in said.splitlines():
        name, equals, value = line.partition("=")
        if name in numbers:
            found[name] = int(value) if value.isdecimal() else 0
        elif name in lists:
            found[name] = (*_tuple(found.get(name)), value)
        elif equals and name in About.__dataclass_fields__:
            found[name] = value
    return About(**found)  # type: ignore[arg-type]


def _tuple(value: object) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()


def problems(about: About, now: float) -> Iterator[str]:
    """In words. `now` is this machine's clock, in seconds."""
    oldest = OLDEST.get(about.distribution)
    if oldest is None or _numbers(about.version) < oldest:
        yield (
            f"{about.distribution} {about.version} is not supported: Debian 12 or newer, or Ubuntu"
            " 24.04 or newer"
        )
    # An empty one is installed.
    if about.python and _numbers(about.python) < OLDEST_PYTHON:
        yield f"its Python is {about.python}; 3.11 or newer is needed"
    if about.machine not in MACHINES:
        yield f"its processor is {about.machine}: {' or '.join(MACHINES)} is supported"
    if about.init != "systemd":
        yield f"its first process is {about.init}, where systemd is needed: is it a container?"
    if about.memory < LEAST_MEMORY:
        yield f"it has {about.memory // 1024} MiB of memory; 512 MiB is the least"
    if about.disk < LEAST_DISK:
        yield (
            f"its disk has {about.disk // 1024} MiB left, and {LEAST_DISK // 1024} are needed:"
            " make room (journalctl --vacuum-size=100M; apt-get clean), or take a larger one"
        )
    if 0 < about.inodes < LEAST_INODES:
        yield f"its disk can take {about.inodes} more files only: remove some (df -i)"
    if about.unresolved:
        yield (
            f"it cannot find {', '.join(about.unresolved)}, where its packages come from: look at"
            " /etc/resolv.conf, and whether it may ask its name server (port 53)"
        )
    if about.locked:
        yield (
            f"apt has been locked for {LOCK_WITHIN} s, by {about.locked[0]}: wait for it to end,"
            " and run this again"
        )
    if abs(about.clock - now) > CLOCK_MAY_DIFFER:
        yield (
            f"its clock is {abs(about.clock - now) / 60:.0f} minutes"
            f" {'ahead of' if about.clock > now else 'behind'} ours: set it"
            " (timedatectl set-ntp true, or date -s)"
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))
