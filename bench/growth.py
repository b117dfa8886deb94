"""What grows with what: with processes, rows, clients, and with the requests answered before.

The first point of each curve is 1; CPU per request of ours may grow to LIMIT.
"""

import contextlib
import itertools  # sample
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from bench.cells import CELLS, Cell, requests
from bench.client import REQUESTS_PER_CONNECTION, load
from bench.measure import request_cpu, say, turned, warm_up
from bench.rates import all_of, rate
from bench.report import Row, interval
from bench.rows import only  # sample
from bench.server import Server, running
from bench.variants import BASELINE, OURS, Variant
from bench.world import World

LIMIT = 1.2
PROCESSES = (1, 2, 4)
CLIENTS = (1, 10, 50, 200)
POSTS = (10, 100, 1_000, 10_000, 100_000)
OURS_ALONE = 100_000  # rows that the others are not asked to read
ANSWERED = 20_000  # requests that an old server has answered
ASKED = 1_000  # requests at a time, at least: of fewer the noise is as large as LIMIT
# sample
# A page is full with the fewest posts, and another follows: the same work at each size.
A_PAGE = replace(CELLS[1], label="list of 9", path="/api/posts?limit=9")
# end of sample


@dataclass
class Curve:
    """Values at each of the points, a list of rounds for each."""

    cell: str
    label: str
    variant: Variant
    unit: str
    held: bool = False
    points: dict[float, list[float]] = field(default_factory=dict)

    def add(self, at: float, value: float) -> None:
        self.points.setdefault(at, []).append(value)

    def rows(self) -> Iterator[Row]:
        """A row for each point; its ratio is to the first, round by round."""
        first = next(iter(self.points.values()))
        for i, (at, values) in enumerate(self.points.items()):
            ratios = [mine / other for mine, other in zip(values, first, strict=True)]
            yield Row(
                *(self.cell, self.label, f"{self.variant.name}, {at:,.0f}"),
                *(round(statistics.median(values), 1), self.unit),
                round(statistics.median(ratios), 3),
                interval(ratios) if i else None,
                LIMIT if self.held and i else None,
                at,
            )


def told(curves: Sequence[Curve]) -> list[Row]:
    for curve in curves:
        values = ", ".join(
            f"{at:,.0f} {statistics.median(v):.0f}" for at, v in curve.points.items()
        )
        say(f"{curve.label}, {curve.variant.name}: {values} {curve.unit}")
    return [row for curve in curves for row in curve.rows()]


def with_processes(world: World, variants: Sequence[Variant], cell: Cell) -> list[Row]:
    """Requests per second at most; each of a server started for it."""
    curves = [
        Curve("growth-processes", f"at most, {cell.label}, processes", v, "/s") for v in variants
    ]
    for count in PROCESSES:
        for curve in curves:
            variant = replace(curve.variant, processes=count)
            with running(variant, world.urls, world.folder) as server:
                warm_up(server, world)
                curve.add(count, rate(server, cell, world))
    return told(curves)


def with_clients(world: World, cell: Cell, rounds: int) -> list[Row]:
    """CPU per request, of so many that ask at once."""
    curves = [
        Curve("growth-clients", f"{cell.label}, clients", v, "µs", held=v is OURS)
        for v in (BASELINE, OURS)
    ]
    with contextlib.ExitStack() as stack:
        servers = all_of(stack, world, (BASELINE, OURS))
        for round_ in range(rounds):
            for clients in CLIENTS:
                for variant in turned((BASELINE, OURS), round_):
                    server = servers[variant.name]
                    # So many to a connection that opening it does not count.
                    asked = max(ASKED, clients * REQUESTS_PER_CONNECTION // 2)
                    value, _ = request_cpu(server, cell, world, asked, clients)
                    curves[variant is OURS].add(clients, value)
    return told(curves)


def with_uptime(world: World, rounds: int, count: int, answered: int) -> list[Row]:
    """CPU per request and memory of a server that has answered many requests, beside another that
    has only begun: what disturbs the machine disturbs both."""
    curves = [Curve("uptime", f"{c.label}, requests before", OURS, "µs", held=True) for c in CELLS]
    memory = Curve("uptime-memory", "memory, requests before", OURS, "MiB", held=True)
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(running(OURS, world.urls, world.folder))
        warm_up(old, world)
        memory.add(0, old.memory())
        grow_old(old, world, answered)
        memory.add(answered, old.memory())
        young = stack.enter_context(running(OURS, world.urls, world.folder))
        warm_up(young, world)
        for _ in range(rounds):
            for curve, cell in zip(curves, CELLS, strict=True):
                curve.add(0, request_cpu(young, cell, world, count)[0])
                curve.add(answered, request_cpu(old, cell, world, count)[0])
    return told([*curves, memory])


def grow_old(server: Server, world: World, answered: int) -> None:
    """Ask it for everything, in turns."""
    for _ in range(10):
        for cell in CELLS:
            sent = requests(cell, world.seed, server.variant.signed_in)
            load(server.port, sent, answered // 10 // len(CELLS), cell.status)


# sample
def with_posts(world: World, rounds: int, count: int) -> list[Row]:
    """CPU per request of server and database, of reads with so many posts in the table."""
    pairs = [(cell, variant) for cell in (CELLS[0], A_PAGE) for variant in (BASELINE, OURS)]
    curves = {
        (cell.name, variant.name): (
            Curve("growth-posts", f"{cell.label}, posts", variant, "µs", held=variant is OURS),
            Curve("growth-posts-database", f"{cell.label}, posts, the database", variant, "µs"),
        )
        for cell, variant in pairs
    }
    with contextlib.ExitStack() as stack:
        servers = all_of(stack, world, (BASELINE, OURS))
        for _, posts in itertools.product(range(rounds), POSTS):
            with only(world.urls.database, world.seed.author_id, posts) as ids:
                few = replace(world, seed=replace(world.seed, ids=tuple(ids)))
                for cell, variant in pairs:
                    if posts >= OURS_ALONE and variant is not OURS:
                        continue
                    found = request_cpu(servers[variant.name], cell, few, count)
                    for curve, value in zip(curves[cell.name, variant.name], found, strict=True):
                        curve.add(posts, value)
    return told([curve for both in curves.values() for curve in both])


# end of sample
