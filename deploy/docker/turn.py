"""From a colour that was started to one that serves, and back if it does not do."""

from dataclasses import dataclass

from deploy.docker import edge, host
from deploy.docker.stack import Image, Stack
from deploy.shell import Failed, quietly, run, say, step, succeeds, uninterrupted

WORKERS_WITHIN = 60  # seconds


class StillThere(Failed):
    """nginx may ask the new colour yet: it is not stopped."""


@dataclass(frozen=True)
class Turn:
    """Of nginx, from the colour that serves to one that was started, and of the workers."""

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
            host.warn_of_connections(containers)
            for container in containers:
                host.check(stack, container, "http://127.0.0.1:8000", self.image.version)
            step(f"switch to {colour}")
            with uninterrupted():  # until it is known, and written down, which of them serves
                if self.now is not None and edge.container(stack):
                    self._switch(containers[0], self.now.colour)
                else:
                    self._open(containers[0])
                edge.remember(stack, colour, containers)
        except StillThere:
            raise
        except (Failed, KeyboardInterrupt):
            with uninterrupted():
                if self._is_ours():
                    quietly(stack.stop(colour))
            raise
        if self.now is not None:
            step(f"drain {self.now.colour}")
            alone = edge.write(stack, colour)
            edge.turn_to(stack, alone)
            edge.drain(stack)
            edge.prune(stack, alone)  # with the lock, or it fails here and stops nothing
            run(stack.stop(self.now.colour))
        step("workers")
        run(stack.in_lock("true"))
        for service in ("worker", "scheduler"):
            host.tidy(stack, service)
        run(stack.replace_workers(), env=stack.environment(self.images))
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
            run(self.stack.nginx_up(), env=self.stack.environment(self.images))
            step("smoke test through nginx")
            host.check(self.stack, container, "https://nginx", self.image.version)
        except Failed as failure:
            said = host.last_words(self.stack, "nginx")
            if self._is_ours():
                quietly(self.stack.nginx_stop())
                edge.point(self.stack, self.now.name if self.now else None)
                if self.now is not None:
                    quietly(self.stack.nginx_up())
            raise Failed(f"{failure}\nnginx said last:\n{said}") from failure

    def _is_ours(self) -> bool:
        """Who has lost the lock stops nothing: it may be somebody else's by now."""
        return succeeds(self.stack.in_lock("true"))


def _wait_for_workers(stack: Stack) -> None:
    """They must run; that one is not healthy yet may be the backlog, and is only said."""
    for service in ("worker", "scheduler"):
        try:
            host.ready(stack, service, WORKERS_WITHIN)
        except Failed as failure:
            if not host.runs(stack, service):
                raise Failed(f"web was switched, but {failure}") from None
            say(f"  it runs, but {failure}")
