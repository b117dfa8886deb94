"""A release: which step follows which, and what becomes of a step that fails.

Until the switch nothing that serves is touched; a failure after it switches back. All that is
remembered is on the host: nginx's configuration names the colour that serves, the containers
their images, and files beside it which of them have served, and who released what. So a release
that was broken off anywhere needs no repair: the next one begins by looking.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.docker import edge, host
from deploy.docker.lock import LOG, entries, holder, locked, logged
from deploy.docker.stack import COLOURS, Image, Stack, other
from deploy.shell import Failed, quietly, run, show, step

READY_WITHIN = 90  # seconds from the start of a colour
WORKERS_WITHIN = 60
ROLE = Path(__file__).parent / "role.sql"


def release(stack: Stack, name: str, replicas: int, wait: int) -> None:
    """Have the image `name` serve. Raises Failed, with what serves then."""
    host.check_tools()
    host.check_variables()
    image = host.find_image(name)
    with locked(stack) as stack:
        now = edge.settle(stack)
        idle = other(now.colour) if now else COLOURS[0]
        images = {**host.images(stack), idle: image, "rest": image}
        with _told(stack, "release", image, idle):
            step("postgres, redis")
            compose(stack, images, stack.stateful())
            run(stack.psql(), given=ROLE.read_bytes())
            step("migrate")
            show(stack.migrate(), env=stack.environment(images))
            step(f"start {idle}")
            _remember(stack, idle, [])
            compose(stack, images, stack.start(idle, replicas))
            Turn(stack, images, image, idle, now).run(wait)


def rollback(stack: Stack) -> None:
    """Have the colour serve that did before; its containers were kept. The schema stays: a
    migration must leave it so that the release before can work with it."""
    host.check_tools()
    host.check_variables()
    with locked(stack) as stack:
        now = edge.settle(stack)
        idle = other(now.colour) if now else COLOURS[0]
        kept = run(stack.containers(f"web-{idle}")).split()
        if now is None or not kept or set(kept) != set(_served(stack, idle)):
            raise Failed(
                "there is nothing to go back to: no other colour is kept that has served."
                " An earlier version comes back by a release of its image"
            )
        found = host.images(stack)
        images = {**found, "rest": found[idle]}
        with _told(stack, "rollback", found[idle], idle):
            step(f"start {idle} again")
            run(stack.start_again(kept))
            Turn(stack, images, found[idle], idle, now).run(READY_WITHIN)


def status(stack: Stack) -> None:
    """Print what serves and the last releases; a release that runs is not disturbed. Raises Failed
    if nothing serves."""
    host.check_tools()
    run(stack.make_volume())
    now = edge.parse(run(stack.look(edge.LOOK)))
    images, serves = host.images(stack), False
    for colour in COLOURS:
        image, states = images.get(colour), host.states(stack, f"web-{colour}")
        if image is None:
            print(f"{colour:6} -")
            continue
        mark = "serves" if now and now.colour == colour else "kept"
        serves = serves or (mark == "serves" and any(map(host.is_well, states)))
        print(f"{colour:6} {mark:7} {image.name}  {image.version}  {', '.join(states)}")
    for line in entries(run(stack.look(f"test ! -e {LOG} || tail -n 20 {LOG}"))):
        print("{at}  {what:8} {colour:6} {image}  {who}  {seconds} s  {result}".format(**line))
    if holds := holder(stack):
        print(f"a release runs: {holds}")
    if now is None:
        raise Failed("nothing serves yet: python -m deploy docker release IMAGE")
    if edge.container(stack) is None:
        raise Failed("nginx does not run: its last words are in docker compose logs nginx")
    if not serves:
        raise Failed(f"nothing serves: web-{now.colour} is not well")


class StillThere(Failed):
    """nginx may ask the new colour yet: it is not stopped."""


@dataclass(frozen=True)
class Turn:
    """From a colour that was started to one that serves, with its workers."""

    stack: Stack
    images: dict[str, Image]  # for compose
    image: Image
    colour: str
    now: edge.Configuration | None  # that serves until then

    def run(self, wait: int) -> None:
        stack, colour = self.stack, self.colour
        try:
            step(f"wait until {colour} is ready")
            containers = host.ready(stack, f"web-{colour}", wait)
            step(f"smoke test of {colour}")
            for container in containers:
                host.check(stack, container, "http://127.0.0.1:8000", self.image.version)
            step(f"switch to {colour}")
            if self.now is not None and edge.container(stack):
                self._switch(containers[0], self.now.colour)
            else:
                self._open(containers[0])
        except StillThere:
            raise
        except Failed:
            quietly(stack.stop(colour))
            raise
        _remember(stack, colour, containers)
        if self.now is not None:
            step(f"drain {self.now.colour}")
            alone = edge.write(stack, colour)
            edge.turn_to(stack, alone)
            edge.drain(stack)
            run(stack.stop(self.now.colour))
            edge.prune(stack, alone)
        step("workers")
        compose(stack, self.images, stack.replace_workers())
        _wait_for_workers(stack)

    def _switch(self, container: str, serves: str) -> None:
        """From one colour to the other, and back if users would be worse off."""
        before = edge.meet(self.stack, serves, self.colour)
        try:
            edge.turn_to(self.stack, edge.write(self.stack, self.colour, serves))
            step("smoke test through nginx")
            host.check(self.stack, container, "https://nginx", self.image.version)
        except Failed as failure:
            step(f"switch back to {serves}")
            try:
                edge.turn_to(self.stack, before)
                edge.drain(self.stack)
                edge.turn_to(self.stack, edge.write(self.stack, serves))
            except Failed as another:
                said = f"{failure}\nSwitching back failed too: {another}"
                raise StillThere(said) from failure
            raise

    def _open(self, container: str) -> None:
        """For the first time, or after nginx was down."""
        edge.point(self.stack, edge.write(self.stack, self.colour))
        try:
            compose(self.stack, self.images, self.stack.nginx_up())
            step("smoke test through nginx")
            host.check(self.stack, container, "https://nginx", self.image.version)
        except Failed as failure:
            said = run(self.stack.last_words("nginx")).strip()
            quietly(self.stack.nginx_stop())
            edge.point(self.stack, self.now.name if self.now else None)
            raise Failed(f"{failure}\nnginx said last:\n{said}") from failure


def _wait_for_workers(stack: Stack) -> None:
    """They must run; that one is not healthy yet may be the backlog, and is only said."""
    for service in ("worker", "scheduler"):
        try:
            host.ready(stack, service, WORKERS_WITHIN)
        except Failed as failure:
            if not host.runs(stack, service):
                raise Failed(f"web was switched, but {failure}") from None
            print(f"  it runs, but {failure}", flush=True)


@contextmanager
def _told(stack: Stack, verb: str, image: Image, colour: str) -> Iterator[None]:
    """In the log of the host, and to who waits."""
    start = time.monotonic()
    try:
        with logged(stack, verb, image.name, colour):
            yield
    except Failed as failure:
        raise Failed(f"{failure}\n{_what_serves(stack)}") from failure
    seconds = time.monotonic() - start
    print(f"{image.name} serves, as {colour}, after {seconds:.1f} s", flush=True)


def _what_serves(stack: Stack) -> str:
    try:
        now = edge.current(stack)
        if now is None:
            return "Nothing serves yet."
        if edge.container(stack) is None:
            return "nginx does not run, so nothing serves."
        image = host.images(stack).get(now.colour)
        return f"{image.name if image else 'nothing'} goes on serving, as {now.colour}."
    except Failed as failure:
        return f"What serves could not be asked: {failure}"


# What is remembered.


def _served(stack: Stack, colour: str) -> list[str]:
    """The ids of the colour's containers, if they have passed all tests."""
    look = f"test ! -e /edge/served-{colour} || cat /edge/served-{colour}"
    return run(stack.in_lock("sh", "-c", look)).split()


def _remember(stack: Stack, colour: str, containers: list[str]) -> None:
    given = "".join(f"{container}\n" for container in containers).encode()
    run(stack.in_lock("sh", "-c", f"cat >/edge/served-{colour}"), given=given)


def compose(stack: Stack, images: dict[str, Image], command: list[str]) -> str:
    return run(command, env=stack.environment(images))
