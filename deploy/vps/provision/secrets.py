"""Passwords and tokens: made on a server, kept there by root, handed to the others through memory.
None is ever on the operator's disk, in an argument list or in what is printed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.shell import Failed
from deploy.vps.provision.connection import Line
from deploy.vps.servers import Fleet, Server

PROGRAM = Path(__file__).with_name("secrets.sh")
TOKENS = ("jwt", "smoke", "metrics")


@dataclass(frozen=True)
class Secrets:
    """Of the whole fleet. One that is not needed, or not made yet (dry run), is empty."""

    database: str = field(default="", repr=False)
    redis: str = field(default="", repr=False)
    jwt: str = field(default="", repr=False)
    smoke: str = field(default="", repr=False)
    metrics: str = field(default="", repr=False)


def keepers(fleet: Fleet) -> dict[str, tuple[str, ...]]:
    """Which server makes and keeps which, by its name."""
    found: dict[str, tuple[str, ...]] = {}
    if fleet.database:
        found[fleet.database.name] = ("database",)
    if fleet.redis:
        found[fleet.redis.name] = (*found.get(fleet.redis.name, ()), "redis")
    first = fleet.database or fleet.servers[0]
    found[first.name] = (*found.get(first.name, ()), *TOKENS)
    return found


def gather(
    fleet: Fleet,
    way: Callable[[Server], Line],
    *,
    make: bool,
    made: Callable[[str, str], None],
) -> Secrets:
    """All of them; those that are missing are made if `make`. `made` is told server and name of
    each that is missing. Raises Failed."""
    found: dict[str, str] = {}
    for server in fleet.servers:
        if names := keepers(fleet).get(server.name):
            found |= _ask(way(server), names, make, made)
    return Secrets(**found)


def _ask(
    line: Line, names: tuple[str, ...], make: bool, made: Callable[[str, str], None]
) -> Mapping[str, str]:
    command = ["sh", "-s", "--", "make" if make else "show", *names]
    ended = line.ask(line.as_root(command), given=PROGRAM.read_text())
    if ended.code:
        why = (ended.said.strip().splitlines() or [f"ended with {ended.code}"])[-1]
        raise Failed(f"{line.server.name}: its secrets are neither there nor can be made: {why}")
    said = ended.out.splitlines()
    found = dict(each.split("=", 1) for each in said if "=" in each)
    new = [each.removeprefix("made ") for each in said if each.startswith("made ")]
    for name in new if make else [each for each in names if each not in found]:
        made(line.server.name, name)
    return found
