"""What an enqueue adds to the insert that it goes with."""

import statistics
import sys
from dataclasses import replace

import psycopg
import redis

from bench.cells import CELLS, requests
from bench.client import load
from bench.jobs.measure import compared
from bench.measure import say
from bench.report import Row
from bench.server import running
from bench.variants import Variant
from bench.world import World

ENQUEUE = 0.3  # of the insert that it goes with, at most

WEB = Variant(
    "web",
    (*(sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:{port}"), "bench.jobs.web:app"),
    "bench.jobs.web:app",
    signed_in=True,
)


def enqueuing(world: World, rounds: int, count: int) -> list[Row]:
    """µs of CPU of web that an enqueue adds to the insert of a post."""
    cell = next(cell for cell in CELLS if cell.name == "insert")
    sent = requests(cell, world.seed, signed_in=True)
    of = {
        path: [each.replace(b"/api/posts", path) for each in sent]
        for path in (b"/api/bare", b"/api/with-job")
    }
    values: dict[bytes, list[float]] = {path: [] for path in of}
    with running(WEB, world.urls, world.folder) as server:
        for each in of.values():
            load(server.port, each, 300, cell.status)
        server.settle()
        for round_ in range(rounds):
            for path in sorted(of, reverse=bool(round_ % 2)):
                load(server.port, of[path], count // 10, cell.status)
                before = server.cpu()
                done = load(server.port, of[path], count, cell.status).completed
                values[path].append((server.cpu() - before) / done * 1e6)
    forget(world)
    bare, with_job = values.values()
    added = [a - b for a, b in zip(with_job, bare, strict=True)]
    say(f"enqueue: {statistics.median(added):.0f} µs on {statistics.median(bare):.0f} µs")
    rows = compared("an enqueue", "insert", bare, added, ENQUEUE)
    return [replace(row, cell="enqueue") for row in rows]


def forget(world: World) -> None:
    """Take away the jobs, which nobody runs: each scrape would count them."""
    redis.Redis.from_url(world.urls.redis).delete("rq:queue:default")
    url = world.urls.database.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE jobs")
