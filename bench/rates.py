"""How much a server can do, and how long a client waits where it is asked for less.

The client runs on the same processors, so a rate is one of both; it costs the same for all.
"""

import contextlib
import statistics
import time
from collections.abc import Iterable, Sequence

from bench.cells import Cell, requests
from bench.client import load
from bench.measure import Samples, say, turned, warm_up
from bench.openloop import Schedule, arrivals, percentiles
from bench.server import Server, running
from bench.variants import BASELINE, Variant
from bench.world import World

SECONDS = 2.5  # of each measurement
ROUNDS = 3
CONNECTIONS = 16  # that ask without pause: twice as many as B has threads
CLIENTS = 64  # connections of the open loop; who is due while all wait counts as waiting
SHARES = (0.2, 0.6)  # of what B can do at most


def rate(server: Server, cell: Cell, world: World) -> float:
    """Requests per second, of clients that ask without pause."""
    sent = requests(cell, world.seed, server.variant.signed_in)
    took, count = 0.0, 100
    for wanted in (0.2, SECONDS):  # the first tells how many are enough
        began = time.perf_counter()
        load(server.port, sent, count, cell.status, CONNECTIONS)
        took = time.perf_counter() - began
        if wanted != SECONDS:
            count = max(100, int(count / took * SECONDS))
    return count / took


def latencies(server: Server, cell: Cell, world: World, offered: float) -> list[float]:
    """Seconds that each request took at a fixed rate, from when it was due."""
    sent = requests(cell, world.seed, server.variant.signed_in)
    due = arrivals(offered, 2 * SECONDS)
    schedule = Schedule(due)
    load(server.port, sent, len(due), cell.status, CLIENTS, schedule)
    return schedule.latencies


def saturated(
    world: World, variants: Sequence[Variant], cells: Iterable[Cell], rounds: int
) -> list[Samples]:
    """Requests per second at most, a value a round."""
    rows = {
        (c.name, v.name): Samples(f"rate-{c.name}", f"at most, {c.label}", v, "/s")
        for c in cells
        for v in variants
    }
    with contextlib.ExitStack() as stack:
        servers = all_of(stack, world, variants)
        for round_ in range(rounds):
            for cell in cells:
                for variant in turned(variants, round_):
                    value = rate(servers[variant.name], cell, world)
                    rows[cell.name, variant.name].values.append(value)
            say(f"rate {round_ + 1}/{rounds}: {so_far(rows.values())}")
    return list(rows.values())


def waited(
    world: World, variants: Sequence[Variant], cell: Cell, rounds: int, most: float
) -> list[Samples]:
    """p50 and p99 in ms, at each of SHARES of `most`, the rate that B can do."""
    rows = {
        (share, name, v.name): Samples(
            f"{name}-{share:.0%}", f"{name}, {cell.label}, {share:.0%} of B's rate", v, "ms"
        )
        for share in SHARES
        for name in ("p50", "p99")
        for v in variants
    }
    with contextlib.ExitStack() as stack:
        servers = all_of(stack, world, variants)
        for round_ in range(rounds):
            for share in SHARES:
                for variant in turned(variants, round_):
                    found = latencies(servers[variant.name], cell, world, most * share)
                    for name, value in zip(("p50", "p99"), percentiles(found), strict=True):
                        rows[share, name, variant.name].values.append(value)
            say(f"latency {round_ + 1}/{rounds}: {so_far(rows.values())}")
    return list(rows.values())


def most_of_baseline(samples: Iterable[Samples], cell: Cell) -> float:
    """What B can do of a cell, as it was measured."""
    of_b = (s for s in samples if s.variant is BASELINE and s.cell == f"rate-{cell.name}")
    return statistics.median(next(of_b).values)


def all_of(
    stack: contextlib.ExitStack, world: World, variants: Sequence[Variant]
) -> dict[str, Server]:
    """All of them, running and warm."""
    servers = {v.name: stack.enter_context(running(v, world.urls, world.folder)) for v in variants}
    for server in servers.values():
        warm_up(server, world)
    return servers


def so_far(rows: Iterable[Samples]) -> str:
    return ", ".join(f"{r.cell} {r.variant.name} {statistics.median(r.values):.0f}" for r in rows)
