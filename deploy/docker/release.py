"""A release: which step follows which, and what becomes of a step that fails.

Until the switch nothing that serves is touched; a failure after it switches back. All that is
remembered is on the host: nginx's configuration names the colour that serves, the containers
name their images, and a log in the same volume who released what. So a release that was broken off
anywhere needs no repair: the next one begins by looking.
"""

import getpass
import io
import json
import re
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy import smoke
from deploy.docker.stack import COLOURS, EDGE, Stack, other, servers_conf
from deploy.shell import CommandFailed, Failed, kept_open, run
from service.settings import ROOT

READY_WITHIN = 90  # seconds from the start of a colour
DRAIN_WITHIN = 60  # seconds; nginx ends its old workers by then (worker_shutdown_timeout)
LOCK_WITHIN = 30
KEPT = 5  # configurations of nginx, the last ones
OLDEST_COMPOSE = (2, 24)  # !reset and !override, env_file with required


def release(stack: Stack, image: str, replicas: int, wait: int) -> None:
    """Have `image` serve. Raises Failed, with what serves then."""
    _check_tools()
    version = _check_image(image)
    with _locked(stack):
        now = _serving(stack)
        idle = other(now) if now else COLOURS[0]
        images = {**_images(stack), idle: image, "rest": image}
        with _logged(stack, "release", image, idle):
            step("postgres, redis")
            compose(stack, images, stack.stateful())
            step("migrate")
            compose(stack, images, stack.migrate())
            step(f"start {idle}")
            compose(stack, images, stack.start(idle, replicas))
            _put_in_front(stack, images, idle, version, wait)


def rollback(stack: Stack) -> None:
    """Have the colour serve that did before; its containers were kept. The schema stays: a
    migration must leave it so that the release before can work with it."""
    _check_tools()
    with _locked(stack):
        now = _serving(stack)
        idle = other(now) if now else COLOURS[0]
        kept = run(stack.containers(f"web-{idle}")).split()
        if now is None or not kept:
            raise Failed("there is nothing to go back to: no other colour was kept")
        images = _images(stack)
        images["rest"] = images[idle]
        with _logged(stack, "rollback", images[idle], idle):
            step(f"start {idle} again")
            run(stack.start_again(kept))
            _put_in_front(stack, images, idle, _version(images[idle]), READY_WITHIN)


def _put_in_front(
    stack: Stack, images: dict[str, str], colour: str, version: str, wait: int
) -> None:
    """From a colour that was started to one that serves, with its workers."""
    try:
        step(f"wait until {colour} is ready")
        containers = _ready(stack, colour, wait)
        step(f"smoke test of {colour}")
        for container in containers:
            _smoke(stack, container, "http://127.0.0.1:8000", version)
    except Failed:
        _quietly(stack.stop(colour))
        raise
    step(f"switch to {colour}")
    before = _switch(stack, images, colour)
    try:
        step("smoke test through nginx")
        _smoke(stack, containers[0], "https://nginx", version)
    except Failed:
        if before is not None:
            step("switch back")
            _point_to(stack, before)
            _drain(stack)
            _quietly(stack.stop(colour))
        raise
    if before is not None:
        step(f"drain {other(colour)}")
        _drain(stack)
        run(stack.stop(other(colour)))
    step("workers")
    compose(stack, images, stack.replace_workers())


# What is there.


def _serving(stack: Stack) -> str | None:
    """The colour that nginx's configuration names; None before the first release.

    If a release was broken off between the change of the file and the reload, nginx serves
    another one still: so it is told again, which does no harm.
    """
    try:
        found = run(stack.in_lock("cat", "/edge/current/servers.conf"))
    except CommandFailed:
        return None
    if run(stack.containers("nginx", running=True)).strip():
        run(stack.nginx("-c", f"{EDGE}/current/production.conf", "-s", "reload"))
    named = re.search(r"server web-(\w+):", found)
    return named[1] if named else None


def _images(stack: Stack) -> dict[str, str]:
    """The image of each colour that has containers."""
    found = {}
    for colour in COLOURS:
        if ids := run(stack.containers(f"web-{colour}")).split():
            found[colour] = run(["docker", "inspect", "--format", "{{.Config.Image}}", ids[0]])
    return {colour: image.strip() for colour, image in found.items()}


def _check_tools() -> None:
    """Raises Failed, with what is missing or too old."""
    try:
        run(["docker", "version", "--format", "{{.Server.Version}}"], timeout=30)
    except CommandFailed as error:
        raise Failed(f"no Docker engine answers (DOCKER_HOST?): {error.said}") from None
    try:
        said = run(["docker", "compose", "version", "--short"]).strip()
    except CommandFailed:
        raise Failed("docker compose is not installed: install the plugin docker-compose") from None
    if tuple(map(int, re.findall(r"\d+", said)[:2])) < OLDEST_COMPOSE:
        raise Failed(f"docker compose is {said}; 2.24 or newer is needed")


def _check_image(image: str) -> str:
    """Its version. Raises Failed if it is not on the host and cannot be pulled, or is for another
    architecture."""
    inspect = ["docker", "image", "inspect", "--format", "{{.Architecture}}", image]
    try:
        made_for = run(inspect).strip()
    except CommandFailed:
        step(f"pull {image}")
        try:
            run(["docker", "pull", "--quiet", image])
        except CommandFailed as error:
            raise Failed(f"the image {image} is not there: {error.said}") from None
        made_for = run(inspect).strip()
    host = run(["docker", "version", "--format", "{{.Server.Arch}}"]).strip()
    if made_for != host:
        raise Failed(f"{image} is for {made_for}, the host is {host}: docker build --platform")
    return _version(image)


def _version(image: str) -> str:
    variables = run(["docker", "image", "inspect", "--format", "{{json .Config.Env}}", image])
    given: dict[str, str] = dict(each.partition("=")[::2] for each in json.loads(variables))
    return given.get("COMMIT_SHA", "unknown")


# Steps.


def _ready(stack: Stack, colour: str, wait: int) -> list[str]:
    """The ids of the colour's containers, all healthy. Raises Failed with their last words."""
    deadline = time.monotonic() + wait
    while True:
        ids = run(stack.containers(f"web-{colour}")).split()
        states = run(["docker", "inspect", "--format", _STATE, *ids]).split() if ids else []
        if states and all(state == "running/healthy/0" for state in states):
            return ids
        broken = [s for s in states if s.startswith(("exited", "dead", "restarting"))]
        broken += [s for s in states if "/unhealthy" in s or not s.endswith("/0")]
        if broken or time.monotonic() > deadline:
            said = run(stack.compose("logs", "--no-log-prefix", "--tail", "8", f"web-{colour}"))
            why = "does not run" if broken else f"is not ready after {wait} s"
            raise Failed(f"web-{colour} {why} ({', '.join(states)}). It said last:\n{said.strip()}")
        time.sleep(0.25)


# … and how often it was started again: not once if it is well.
_STATE = "{{.State.Status}}/{{if .State.Health}}{{.State.Health.Status}}{{end}}/{{.RestartCount}}"


def _smoke(stack: Stack, container: str, url: str, version: str) -> None:
    program = Path(smoke.__file__).read_bytes()
    try:
        said = run(stack.smoke(container, url, version), given=program)
    except CommandFailed as error:
        raise Failed(f"the smoke test failed:\n{error.said}") from None
    print("  " + "\n  ".join(said.strip().splitlines()), flush=True)


def _switch(stack: Stack, images: dict[str, str], colour: str) -> str | None:
    """Point nginx at the colour; return the configuration that it had before, if it had one."""
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{colour}"
    run(stack.in_lock("mkdir", "-p", f"/edge/{name}"))
    run(stack.in_lock("tar", "-x", "-C", f"/edge/{name}"), given=_configuration(colour))
    if not run(stack.containers("nginx", running=True)).strip():
        _point(stack, name)
        compose(stack, images, stack.nginx_up())
        return None
    try:
        run(stack.nginx("-t", "-q", "-c", f"{EDGE}/{name}/production.conf"))
    except CommandFailed as error:
        raise Failed(f"nginx refuses its new configuration:\n{error.said}") from None
    before = run(stack.in_lock("readlink", "/edge/current")).strip()
    _point_to(stack, name)
    return before


def _point_to(stack: Stack, name: str) -> None:
    _point(stack, name)
    run(stack.nginx("-c", f"{EDGE}/current/production.conf", "-s", "reload"))


def _point(stack: Stack, name: str) -> None:
    """Atomically: at each moment nginx finds one configuration or the other, whole."""
    run(stack.in_lock("ln", "-sfn", name, "/edge/next"))
    run(stack.in_lock("mv", "-T", "/edge/next", "/edge/current"))


def _configuration(colour: str) -> bytes:
    """deploy/nginx and the upstream of a colour, as a tar file."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for path in sorted((ROOT / "deploy" / "nginx").glob("*.conf")):
            _add(tar, path.name, path.read_bytes())
        _add(tar, "servers.conf", servers_conf(colour).encode())
    return made.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size, about.mode = len(content), 0o644
    tar.addfile(about, io.BytesIO(content))


def _drain(stack: Stack) -> None:
    """Wait until nginx's old workers have ended: they may have requests for the old colour."""
    deadline = time.monotonic() + DRAIN_WITHIN
    while "is shutting down" in run(stack.nginx_workers()) and time.monotonic() < deadline:
        time.sleep(0.25)


# The lock and the log.


@contextmanager
def _locked(stack: Stack) -> Iterator[None]:
    """Alone on this host. Raises Failed, with who is there."""
    who = f"{getpass.getuser()}@{socket.gethostname()}"
    holding = subprocess.Popen(  # noqa: S603
        stack.take_lock(who),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C is for us: we let go of it when we are done
    )
    assert holding.stdin is not None
    try:
        deadline = time.monotonic() + LOCK_WITHIN
        while not _succeeds(stack.in_lock("true")) or holding.poll() is not None:
            if holding.poll() is not None:
                said = holding.stderr.read().decode().strip() if holding.stderr else ""
                if "is already in use" in said:
                    raise Failed(f"a release runs already: {_holder(stack)}")
                raise Failed(f"the lock cannot be taken: {said}")
            if time.monotonic() > deadline:
                raise Failed(f"the lock cannot be taken within {LOCK_WITHIN} s")
            time.sleep(0.1)
        kept_open.add(holding.stdin.fileno())
        yield
    finally:
        kept_open.discard(holding.stdin.fileno())
        holding.communicate()


def _holder(stack: Stack) -> str:
    try:
        return run(stack.holder()).strip()
    except CommandFailed:
        return "it has ended just now, try again"


@contextmanager
def _logged(stack: Stack, verb: str, image: str, colour: str) -> Iterator[None]:
    """A line in the log of the host, whatever comes of it."""
    start, result = time.monotonic(), "broken off"
    try:
        yield
        result = "ok"
    except Failed as failure:
        result = str(failure).splitlines()[0]
        raise Failed(f"{failure}\n{_what_serves(stack)}") from failure
    finally:
        line = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "who": f"{getpass.getuser()}@{socket.gethostname()}",
            "what": verb,
            "image": image,
            "colour": colour,
            "result": result,
            "seconds": round(time.monotonic() - start, 1),
        }
        append = ("sh", "-c", "cat >>/edge/releases.jsonl")
        _quietly(stack.in_lock(*append), given=json.dumps(line).encode() + b"\n")
    _prune(stack)
    print(f"{image} serves, as {colour}, after {line['seconds']} s", flush=True)


def _what_serves(stack: Stack) -> str:
    now = _serving(stack)
    return (
        f"{_images(stack).get(now, 'nothing')} goes on serving." if now else "Nothing serves yet."
    )


def _prune(stack: Stack) -> None:
    """Keep the newest configurations of nginx."""
    found = sorted(re.findall(r"^\d{8}-\d{6}-\w+$", run(stack.in_lock("ls", "/edge")), re.M))
    if old := found[:-KEPT]:
        run(stack.in_lock("rm", "-r", *(f"/edge/{name}" for name in old)))


def status(stack: Stack) -> None:
    """Print what serves and the last releases."""
    _check_tools()
    with _locked(stack):
        now, images = _serving(stack), _images(stack)
        log = _try(lambda: run(stack.in_lock("tail", "-n", "10", "/edge/releases.jsonl")), "")
    for colour in COLOURS:
        mark = "serves" if colour == now else "kept" if colour in images else "-"
        print(f"{colour:6} {mark:7} {images.get(colour, '')}")
    for line in log.splitlines():
        entry: dict[str, Any] = json.loads(line)
        print("{at}  {what:8} {colour:6} {image}  {who}  {seconds} s  {result}".format(**entry))
    if now is None:
        raise Failed("nothing serves yet: python -m deploy docker release IMAGE")


def compose(stack: Stack, images: dict[str, str], command: list[str]) -> str:
    return run(command, env=stack.environment(images))


def step(text: str) -> None:
    """Say what is done now: a release takes a while, and who waits wants to know what for."""
    print(f"→ {text}", file=sys.stdout, flush=True)


def _succeeds(command: list[str]) -> bool:
    try:
        run(command)
    except CommandFailed:
        return False
    return True


def _quietly(command: list[str], given: bytes | None = None) -> None:
    """What may fail where something has failed already, and must not hide that."""
    try:
        run(command, given=given)
    except Failed as failure:
        print(f"  also failed: {failure}", file=sys.stderr)


def _try(call: Callable[[], str], otherwise: str) -> str:
    try:
        return call()
    except CommandFailed:
        return otherwise
