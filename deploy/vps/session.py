"""The servers of a fleet, with their locks in our hands for as long as something is changed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from deploy.shell import Failed, say
from deploy.vps.failures import Lost
from deploy.vps.servers import Fleet, Server
from deploy.vps.ssh import Ssh, ask, follow, held

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Session:
    """The servers, and the tokens of their locks."""

    fleet: Fleet
    ssh: Ssh
    tokens: dict[str, str]
    who: str
    hold: Callable[[Server], str]  # takes a server's lock; its token
    renews: bool = False

    @property
    def running(self) -> tuple[Server, ...]:
        return tuple(each for each in running(self.fleet) if each.name in self.tokens)

    @property
    def balancer(self) -> Server | None:
        """None too if it is left out: nobody can tell it anything."""
        found = self.fleet.balancer
        return found if found and found.name in self.tokens else None

    def going_back(self) -> Self:
        """For what is to be done in spite of a failure: half a minute without a network ends the
        locks, so one that has ended is taken anew. On the way forward it is not: somebody else may
        have changed the server since."""
        return replace(self, renews=True)

    def status(self, server: Server) -> Any:
        return ask(self.ssh, server, "status")

    def ask(self, server: Server, *words: str) -> Any:
        return self._passing(server, lambda passes: ask(self.ssh, server, *words, *passes))

    def follow(self, server: Server, *words: str, given: str | None = None) -> None:
        prefix = f"  {server.name}: "
        self._passing(
            server,
            lambda passes: follow(self.ssh, server, *words, *passes, prefix=prefix, given=given),
        )

    def _passing(self, server: Server, do: Callable[[tuple[str, ...]], Answer]) -> Answer:
        token = self.tokens[server.name]
        try:
            return do(("--token", token, "--who", self.who))
        except Failed as failure:
            if not self.renews or f"the hold {token} has ended" not in str(failure):
                raise
        self.tokens[server.name] = self.hold(server)
        return do(("--token", self.tokens[server.name], "--who", self.who))


@contextmanager
def session(
    fleet: Fleet, ssh: Ssh, who: str, why: str, *, without_lost: bool = False
) -> Iterator[Session]:
    """All servers, locked until the end; `without_lost` leaves out those that cannot be reached,
    if others can. Raises Failed, with who has one of them."""
    lost: list[Lost] = []
    with ExitStack() as stack:

        def hold(server: Server) -> str:
            return stack.enter_context(held(ssh, server, why))

        tokens = {}
        for server in fleet.servers:
            try:
                tokens[server.name] = hold(server)
            except Lost as failure:
                lost.append(failure)
        if lost and (not without_lost or not tokens):
            raise Failed("\n".join(map(str, lost)))
        for each in lost:
            say(f"  left out: {each}")
        yield Session(fleet, ssh, tokens, who, hold)


def running(fleet: Fleet) -> tuple[Server, ...]:
    """The servers that run the service's code, those with web first."""
    webs = fleet.with_role("web")
    return (*webs, *(each for each in fleet.with_role("worker") if each not in webs))
