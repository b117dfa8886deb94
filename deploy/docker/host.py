"""The host: what it must have, what runs on it, and whether that is well."""

import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from deploy import smoke
from deploy.docker.stack import COLOURS, NGINX_IMAGE, Image, Stack
from deploy.shell import CommandFailed, Failed, run, say, step, succeeds
from service.environment import ROOT, environment

# `start_interval` of a health check needs this engine; `!override` and `--wait` this Compose.
OLDEST_ENGINE, OLDEST_COMPOSE = (25, 0), (2, 25)
PULL_WITHIN = 3600  # seconds
Found = TypeVar("Found")


def check_tools() -> None:
    """Raises Failed, with what is missing or too old."""
    try:
        engine = run(["docker", "version", "--format", "{{.Server.Version}}"], timeout=60).strip()
    except CommandFailed as error:
        raise Failed(f"no Docker engine answers (DOCKER_HOST?): {error.said}") from None
    if _numbers(engine) < OLDEST_ENGINE:
        raise Failed(f"the Docker engine is {engine}; 25 or newer is needed")
    try:
        said = run(["docker", "compose", "version", "--short"]).strip()
    except CommandFailed:
        raise Failed("docker compose is not installed: install the plugin docker-compose") from None
    if _numbers(said) < OLDEST_COMPOSE:
        raise Failed(f"docker compose is {said}; 2.25 or newer is needed")
    if not succeeds(["docker", "image", "inspect", NGINX_IMAGE]):
        step(f"pull {NGINX_IMAGE}")
        run(["docker", "pull", "--quiet", NGINX_IMAGE], timeout=PULL_WITHIN)


def check_variables() -> None:
    """Raises Failed if the file of the service's variables is not there: a release from a fresh
    clone would go without them, and nobody would notice at once."""
    name = environment().get("ENV_FILE") or str(ROOT / "production.env")
    if not Path(name).is_file():
        raise Failed(
            f"{name} is not there: the variables of the service, which may be none"
            " (see .env.example). ENV_FILE names another file"
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:2]))


def find_image(name: str) -> Image:
    """Pulled if the name has a registry in it, since a tag may have moved. Raises Failed if it is
    neither there nor on the host, or is for another architecture."""
    here = succeeds(["docker", "image", "inspect", name])
    if not here or _has_registry(name):
        step(f"pull {name}")
        try:
            run(["docker", "pull", "--quiet", name], timeout=PULL_WITHIN)
        except CommandFailed as error:
            if not here:
                raise Failed(
                    f"the image {name} is neither here nor can it be pulled: {error.said}"
                ) from None
            say(f"  not pulled, the host's own is taken: {error.said}")
    about = "{{.Architecture}} {{.Id}}"
    made_for, id = run(["docker", "image", "inspect", "--format", about, name]).split()
    host = run(["docker", "version", "--format", "{{.Server.Arch}}"]).strip()
    if made_for != host:
        raise Failed(f"{name} is for {made_for}, the host is {host}: docker build --platform")
    variables = run(["docker", "image", "inspect", "--format", "{{json .Config.Env}}", id])
    return Image(name, id, _version(json.loads(variables)))


def _has_registry(name: str) -> bool:
    """As Docker reads it: the part before the first slash, if it can be a host's name."""
    first, slash, _ = name.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def _version(variables: list[str]) -> str:
    given = dict(each.partition("=")[::2] for each in variables)
    return given.get("COMMIT_SHA") or "unknown"


def images(stack: Stack) -> dict[str, Image]:
    """Of each colour that has containers, running or kept."""
    found = {colour: image(stack, f"web-{colour}") for colour in COLOURS}
    return {colour: each for colour, each in found.items() if each}


def _again(look: Callable[[], Found]) -> Found:
    """What is found; a container may go between the list and the look, as a release removes some.
    Raises Failed."""
    for _ in range(3):
        with suppress(CommandFailed):
            return look()
    return look()


def image(
    stack: Stack, service: str, known: Mapping[str, Image] = MappingProxyType({})
) -> Image | None:
    """Of a service's containers, by the name that it was released as. Raises Failed."""
    return _again(lambda: _image(stack, service, known))


def _image(stack: Stack, service: str, known: Mapping[str, Image]) -> Image | None:
    ids = run(stack.containers(service)).split()
    if not ids:
        return None
    # All of it from the container: its image may have been removed by force.
    about = '{{.Image}} {{json .Config.Env}} {{index .Config.Labels "released-as"}}'
    id, _, rest = run(["docker", "inspect", "--format", about, ids[0]]).strip().partition(" ")
    variables, end = json.JSONDecoder().raw_decode(rest)
    name = rest[end:].strip()
    names = [each.name for each in known.values() if each.id == id]
    short = id.removeprefix("sha256:")[:12]  # of one that was started by hand
    return Image(name or next(iter(names), short), id, _version(variables))


def count(stack: Stack, colour: str) -> int:
    """How many containers of a colour run, at least one."""
    return max(1, len(run(stack.containers(f"web-{colour}", running=True)).split()))


def remove(stack: Stack, colour: str) -> None:
    """The containers of the idle colour."""
    if ids := run(stack.containers(f"web-{colour}")).split():
        run(["docker", "rm", "--force", *ids])


def tidy(stack: Stack, service: str) -> None:
    """Remove what does not run: if Compose was killed while it replaced a container, the name of
    the half-made one is in its way."""
    running = set(run(stack.containers(service, running=True)).split())
    if ids := [id for id in run(stack.containers(service)).split() if id not in running]:
        run(["docker", "rm", "--force", *ids])


def warn_of_connections(containers: list[str]) -> None:
    """If the database does not allow so many containers of web, old and new."""
    count = ("connections", "--web", str(len(containers)))
    try:
        run(["docker", "exec", containers[0], "python", "-m", "service", *count])
    except Failed as failure:
        said = failure.said if isinstance(failure, CommandFailed) else ""
        say(f"  connections to the database: {(said.splitlines() or ['not counted'])[-1]}")


def ready(stack: Stack, service: str, wait: int) -> list[str]:
    """The ids of a service's containers, all healthy. Raises Failed with their last words."""
    deadline = time.monotonic() + wait
    while True:
        ids = run(stack.containers(service)).split()
        states = _states(stack, ids)
        if states and all(state == "running/healthy/0" for state in states):
            return ids
        broken = any(map(_is_broken, states))
        if broken or time.monotonic() > deadline:
            why = "does not run" if broken else f"is not ready after {wait} s"
            said = last_words(stack, service)
            raise Failed(f"{service} {why} ({', '.join(states)}). It said last:\n{said}")
        time.sleep(0.25)


def runs(stack: Stack, service: str) -> bool:
    """Healthy or not, and without having been started again."""
    found = states(stack, service)
    return bool(found) and all(re.fullmatch("running/.*/0", state) for state in found)


def states(stack: Stack, service: str) -> list[str]:
    """Of each container of a service: running/healthy/0 is one that is well."""
    return _again(lambda: _states(stack, run(stack.containers(service)).split()))


def _states(stack: Stack, containers: list[str]) -> list[str]:
    return run(stack.states(containers)).split() if containers else []


def last_words(stack: Stack, service: str) -> str:
    """For a message, which must come though this fails."""
    try:
        return run(stack.last_words(service)).strip()
    except Failed as failure:
        return f"(its log cannot be read: {failure})"


def is_well(state: str) -> bool:
    return state.startswith("running/healthy/")


def _is_broken(state: str) -> bool:
    status, health, restarts = state.split("/")
    return status in ("exited", "dead", "restarting") or health == "unhealthy" or restarts != "0"


def check(stack: Stack, container: str, url: str, version: str) -> None:
    """The smoke test, from inside a container."""
    program = Path(smoke.__file__).read_bytes()
    try:
        said = run(stack.smoke(container, url, version), given=program)
    except CommandFailed as error:
        raise Failed(f"the smoke test failed:\n{error.said}") from None
    say("  " + "\n  ".join(said.strip().splitlines()))
