"""The measurements: interleaved, so that what disturbs the machine disturbs every variant."""

import contextlib
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench import processes
from bench.cells import CELLS, Cell, requests
from bench.client import CONNECTIONS, load
from bench.server import Server, running
from bench.variants import Variant
from bench.world import World

STARTS = 10
MEMORIES = 3
WARM_UP = 300  # requests of each cell, once


@dataclass
class Samples:
    """One row of the table: a value for each round, in `unit`.

    `best`: the least is taken, not the median. A disturbed start only takes longer, by up to ten
    times, and there are few of them.
    """

    cell: str
    label: str
    variant: Variant
    unit: str
    best: bool = False
    values: list[float] = field(default_factory=list)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def turned(variants: Sequence[Variant], round_: int) -> list[Variant]:
    """Return A B C, then B C A, …: nobody always comes after the same one."""
    shift = round_ % len(variants)
    return [*variants[shift:], *variants[:shift]]


def cpu(
    world: World, variants: Sequence[Variant], cells: Iterable[Cell], rounds: int, count: int
) -> list[Samples]:
    """Return µs of CPU a request of server and database, a value per round; all servers run, one
    is asked."""
    rows = {(c.name, v.name): Samples(c.name, c.label, v, "µs") for c in cells for v in variants}
    theirs = {
        (c.name, v.name): Samples(f"{c.name}-database", f"{c.label}, the database", v, "µs")
        for c in cells
        for v in variants
    }
    with contextlib.ExitStack() as stack:
        servers = {
            v.name: stack.enter_context(running(v, world.urls, world.folder)) for v in variants
        }
        for server in servers.values():
            warm_up(server, world)
        for round_ in range(rounds):
            for cell in cells:
                for variant in turned(variants, round_):
                    mine, other = request_cpu(servers[variant.name], cell, world, count)
                    rows[cell.name, variant.name].values.append(mine)
                    theirs[cell.name, variant.name].values.append(other)
            if (round_ + 1) % 5 == 0 or round_ + 1 == rounds:
                say(f"round {round_ + 1}/{rounds}: " + ", ".join(map(so_far, rows.values())))
    return [*rows.values(), *theirs.values()]


def so_far(row: Samples) -> str:
    return f"{row.cell} {row.variant.name} {statistics.median(row.values):.0f}"


def warm_up(server: Server, world: World, count: int = WARM_UP) -> None:
    """Ask for everything, so that every worker has imported, connected and compiled its queries."""
    for cell in CELLS:
        sent = requests(cell, world.seed, server.variant.signed_in)
        load(server.port, sent, count, cell.status)
    server.settle()


def request_cpu(
    server: Server, cell: Cell, world: World, count: int, connections: int = CONNECTIONS
) -> tuple[float, float]:
    """Return µs of CPU per request: of master and workers, and of PostgreSQL."""
    sent = requests(cell, world.seed, server.variant.signed_in)
    load(server.port, sent, max(connections, count // 10), cell.status, connections)
    before, database = server.cpu(), processes.Used(world.postgres_pid)
    done = load(server.port, sent, count, cell.status, connections).completed
    return (server.cpu() - before) / done * 1e6, database.seconds() / done * 1e6


def start(world: World, variants: Sequence[Variant], times: int = STARTS) -> list[Samples]:
    """Return ms from exec to the first 200 on /health/live."""
    rows = {v.name: Samples("start", "start", v, "ms", best=True) for v in variants}
    for round_ in range(times):
        for variant in turned(variants, round_):
            with running(variant, world.urls, world.folder) as server:
                rows[variant.name].values.append(server.start_seconds * 1e3)
        say(
            f"start {round_ + 1}/{times}: " + " ".join(f"{r.values[-1]:.0f}" for r in rows.values())
        )
    return list(rows.values())


def memory(world: World, variants: Sequence[Variant], times: int = MEMORIES) -> list[Samples]:
    """Return MiB of master and workers after a load, each variant running alone.

    Alone, because processes of two variants would share pages and halve their proportions.
    """
    rows = {v.name: Samples("memory", "memory", v, "MiB") for v in variants}
    for round_ in range(times):
        for variant in turned(variants, round_):
            with running(variant, world.urls, world.folder) as server:
                warm_up(server, world)
                rows[variant.name].values.append(server.memory())
        say(
            f"memory {round_ + 1}/{times}: "
            + " ".join(f"{r.values[-1]:.0f}" for r in rows.values())
        )
    return list(rows.values())
