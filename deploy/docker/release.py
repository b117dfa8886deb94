"""A release: which step follows which.

Until the switch nothing that serves is touched; a failure after it switches back. All that is
remembered is on the host: nginx's configuration names the colour that serves, the containers
their images, and files beside it which of them have served, and who released what. So a release
that was broken off anywhere needs no repair: the next one begins by looking.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.docker import edge, host
from deploy.docker.lock import locked, logged
from deploy.docker.stack import COLOURS, Image, Stack, other
from deploy.docker.status import what_serves
from deploy.docker.turn import Turn
from deploy.shell import Failed, run, say, show, step, uninterrupted

READY_WITHIN = 90  # seconds from the start of a colour
ROLE = Path(__file__).parent / "role.sql"


def release(stack: Stack, name: str, replicas: int | None, wait: int) -> None:
    """Have the image `name` serve, in as many containers as serve now unless it is said otherwise.
    Raises Failed, with what serves then."""
    host.check_tools()
    host.check_variables()
    image = host.find_image(name)
    with locked(stack) as stack, _explained(stack):
        now = edge.settle(stack)
        idle = other(now.colour) if now else COLOURS[0]
        found = host.images(stack)
        if now and now.colour in found and found[now.colour].id == image.id:
            say(f"  {name} serves already: a rollback will find the same image")
        images = {**found, idle: image, "rest": image}
        count = replicas or host.count(stack, now.colour if now else idle)
        with _told(stack, "release", image, idle):
            step("postgres, redis")
            run(stack.stateful(), env=stack.environment(images))
            run(stack.psql(), given=ROLE.read_bytes())
            step("migrate")
            show(stack.migrate(), env=stack.environment(images))
            step(f"start {idle}")
            edge.remember(stack, idle, [])  # with the lock, or it fails here and removes nothing
            host.remove(stack, idle)
            run(stack.start(idle, count), env=stack.environment(images))
            Turn(stack, images, image, idle, now).run(wait)


def rollback(stack: Stack) -> None:
    """Have the colour serve that did before; its containers were kept. The schema stays: a
    migration must leave it so that the release before can work with it."""
    host.check_tools()
    host.check_variables()
    with locked(stack) as stack, _explained(stack):
        now = edge.settle(stack)
        idle = other(now.colour) if now else COLOURS[0]
        if now is None or not edge.is_kept(stack, idle):
            raise Failed(
                "there is nothing to go back to: no other colour is kept that has served, or it"
                " was gone back from. Any version comes back by a release of its image"
            )
        found = host.images(stack)
        images = {**found, "rest": found[idle]}
        with _told(stack, "rollback", found[idle], idle):
            # Who calls for this has done with it: called again, it must not go back there.
            edge.remember(stack, now.colour, [])
            step(f"start {idle} again")
            run(stack.stop(idle))  # if it still runs, after a release that was broken off
            run(
                stack.start_again(idle, host.count(stack, now.colour)),
                env=stack.environment(images),
            )
            Turn(stack, images, found[idle], idle, now).run(READY_WITHIN)


@contextmanager
def _told(stack: Stack, verb: str, image: Image, colour: str) -> Iterator[None]:
    """In the log of the host, and to who waits."""
    start = time.monotonic()
    with logged(stack, verb, image.name, colour):
        yield
    seconds = time.monotonic() - start
    say(f"{image.name} serves, as {colour}, after {seconds:.1f} s")


@contextmanager
def _explained(stack: Stack) -> Iterator[None]:
    """A failure says what serves in spite of it."""
    try:
        yield
    except Failed as failure:
        with uninterrupted():
            serves = what_serves(stack)
        raise Failed(f"{failure}\n{serves}") from failure
