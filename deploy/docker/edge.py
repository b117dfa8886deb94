"""nginx of the host, and how it is turned from one colour to the other.

Its configurations are folders in a volume, one for each change; the link `current` names the one in
force. A name that nginx has not met yet has no addresses for a moment after a reload, and it keeps
those that it has: so it meets a colour before it is turned to it, and keeps the one that it is
turned from until all is well (`servers_conf`, idle).
"""

import io
import re
import tarfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from deploy.docker.host import last_words
from deploy.docker.stack import Stack, other, servers_conf
from deploy.shell import CommandFailed, Failed, run
from service.environment import ROOT

RELOAD_WITHIN = 15  # seconds until nginx's new workers are there
RESOLVE = 1.0  # seconds; Docker's DNS answers within a few thousandths of one
DRAIN_WITHIN = 65  # seconds; nginx ends its old workers after 60 (worker_shutdown_timeout)
KEPT = 8  # configurations, the last ones

LOOK = "test ! -L /edge/current || { readlink /edge/current; cat /edge/current/servers.conf; }"


@dataclass(frozen=True)
class Configuration:
    name: str
    colour: str  # that serves
    turning: bool  # an idle colour is named too: a release was broken off, or is under way


def current(stack: Stack) -> Configuration | None:
    """What is in force; None before the first release. Any other failure than that there is no
    such file is raised: taken for "nothing serves", it would end what does."""
    return parse(run(stack.in_lock("sh", "-c", LOOK)))


def parse(text: str) -> Configuration | None:
    if not text.strip():
        return None
    servers = re.findall(r"server web-(\w+):.*?( down)?;", text)
    serving = [colour for colour, down in servers if not down]
    if len(serving) != 1:
        raise Failed(
            "the configuration of nginx in the volume names no colour (a full disk, a power cut?)."
            f" Stop nginx, remove the link `current` from the volume, then release: {text!r}"
        )
    return Configuration(text.split()[0], serving[0], len(servers) > 1)


def container(stack: Stack) -> str | None:
    """nginx's, if it runs."""
    return next(iter(run(stack.containers("nginx", running=True)).split()), None)


def settle(stack: Stack) -> Configuration | None:
    """What serves, with nginx at rest: a release may have been broken off between the change of a
    file and the reload, or before all requests of the colour that went were finished."""
    now = current(stack)
    if container(stack) is None:
        return now
    if now is None:
        raise Failed(
            "nginx runs, and its configuration is gone: stop it (docker compose … stop nginx),"
            " then release"
        )
    name, back = now.name, other(now.colour)
    # Turned to in the file only, or not tested behind nginx, or stopped since: what has served
    # and runs is what serves.
    doubtful = (now.turning and not is_kept(stack, now.colour)) or not _runs(stack, now.colour)
    if doubtful and is_kept(stack, back) and _runs(stack, back):
        name = write(stack, back)
    elif now.turning:
        name = write(stack, now.colour)
    turn_to(stack, name)
    drain(stack)
    return current(stack)


def _runs(stack: Stack, colour: str) -> bool:
    return bool(run(stack.containers(f"web-{colour}", running=True)).strip())


def remember(stack: Stack, colour: str, containers: list[str]) -> None:
    """Which containers of a colour have passed all tests."""
    given = "".join(f"{container}\n" for container in containers).encode()
    run(stack.in_lock("sh", "-c", f"cat >/edge/served-{colour}"), given=given)


def is_kept(stack: Stack, colour: str) -> bool:
    """Whether a colour is there as it has served: something to go back to."""
    kept = run(stack.containers(f"web-{colour}")).split()
    path = f"/edge/served-{colour}"
    script = f"test ! -e {path} || cat {path}"
    look = stack.in_lock("sh", "-c", script) if stack.hand else stack.look(script)
    return bool(kept) and set(kept) == set(run(look).split())


def write(stack: Stack, colour: str, idle: str | None = None) -> str:
    """deploy/nginx and an upstream, as a new configuration; its name. nginx has read it."""
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S.%f}-{colour}"
    run(stack.in_lock("mkdir", f"/edge/{name}"))
    run(stack.in_lock("tar", "-x", "-C", f"/edge/{name}"), given=_packed(colour, idle))
    run(stack.in_lock("sync", "-f", f"/edge/{name}"))  # before the link to it
    if nginx := container(stack):
        try:
            run(stack.nginx_check(nginx, name))
        except CommandFailed as error:
            raise Failed(f"nginx refuses its new configuration:\n{error.said}") from None
    return name


def turn_to(stack: Stack, name: str) -> None:
    """Returns when nginx's new workers have taken over; old ones may have requests yet."""
    point(stack, name)
    if (nginx := container(stack)) is None:
        raise Failed("nginx does not run any more")
    before, deadline = _workers(stack, nginx), time.monotonic() + RELOAD_WITHIN
    run(stack.nginx_reload(nginx))
    while not (now := _workers(stack, nginx)) or now & before:
        if time.monotonic() > deadline:
            said = last_words(stack, "nginx")
            raise Failed(f"nginx did not take its new configuration. It said last:\n{said}")
        time.sleep(0.1)


def meet(stack: Stack, serving: str, idle: str) -> str:
    """Have nginx know the addresses of a colour that is not asked yet; the configuration's name."""
    name = write(stack, serving, idle)
    turn_to(stack, name)
    time.sleep(RESOLVE)
    return name


def point(stack: Stack, name: str | None) -> None:
    """Atomically: at each moment nginx finds one configuration or the other, whole."""
    if name is None:
        run(stack.in_lock("rm", "-f", "/edge/current"))
        return
    run(stack.in_lock("ln", "-sfn", name, "/edge/next"))
    run(stack.in_lock("mv", "-T", "/edge/next", "/edge/current"))


def drain(stack: Stack) -> None:
    """Wait until nginx's old workers have ended: they may have requests for the old colour."""
    deadline = time.monotonic() + DRAIN_WITHIN
    while (nginx := container(stack)) and time.monotonic() < deadline:
        if "is shutting down" not in run(stack.processes(nginx)):
            return
        time.sleep(0.25)


def prune(stack: Stack, now: str) -> None:
    """Keep the newest configurations, and the one in force."""
    found = sorted(re.findall(r"^\d{8}-[\d.]+-\w+$", run(stack.in_lock("ls", "/edge")), re.M))
    if old := [f"/edge/{name}" for name in found[:-KEPT] if name != now]:
        run(stack.in_lock("rm", "-r", *old))


def _workers(stack: Stack, nginx: str) -> set[str]:
    """The ids of nginx's processes that take connections."""
    lines = run(stack.processes(nginx)).splitlines()
    return {line.split()[0] for line in lines if line.rstrip().endswith("nginx: worker process")}


def _packed(colour: str, idle: str | None) -> bytes:
    """As a tar file, which goes through standard input to wherever the host is."""
    made = io.BytesIO()
    files = {
        path.name: path.read_bytes() for path in sorted((ROOT / "deploy" / "nginx").glob("*.conf"))
    }
    files["servers.conf"] = servers_conf(colour, idle).encode()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size, about.mode = len(content), 0o644
            tar.addfile(about, io.BytesIO(content))
    return made.getvalue()
