"""What a scrape of /metrics costs, with four processes, and after many came and went."""

import signal
import statistics
import time
from collections.abc import Mapping
from http.client import HTTPConnection

import psutil

from bench.measure import say, warm_up
from bench.report import Row
from bench.server import Server, ServerError, running
from bench.variants import METRICS_TOKEN, OURS, SERVICE, Urls, Variant
from bench.world import World

PROCESSES = 4
LIMIT = 20.0  # ms
GROWTH = 1.2  # times, at most, of what it cost before
SCRAPES = 50
RELOADS = 10  # each replaces all processes
PATIENCE = 60.0  # seconds for one


class Four(Variant):
    """The service, with as many processes as the budget speaks of."""

    def environment(self, urls: Urls, port: int) -> dict[str, str]:
        return super().environment(urls, port) | {"WEB_CONCURRENCY": str(PROCESSES)}


def scraping(world: World, scrapes: int = SCRAPES, reloads: int = RELOADS) -> list[Row]:
    """ms that a scrape takes, the best of many: what disturbs the machine only adds to it."""
    variant = Four("ours", SERVICE, OURS.wsgi, signed_in=True)
    with running(variant, world.urls, world.folder) as server:
        fill(server, world)
        fresh = [scrape(server) for _ in range(scrapes)]
        for number in range(reloads):
            reload(server)
            fill(server, world)
            say(f"scrape: reload {number + 1}/{reloads}, {scrape(server):.1f} ms")
        old = [scrape(server) for _ in range(scrapes)]
    say(f"scrape: median {statistics.median(fresh):.1f} ms, then {statistics.median(old):.1f} ms")
    return [
        row(f"scrape ({PROCESSES} processes) / {LIMIT:.0f} ms", min(fresh), LIMIT, 1.0),
        row(f"after {reloads} reloads / before", min(old), min(fresh), GROWTH),
    ]


def row(label: str, value: float, base: float, limit: float) -> Row:
    return Row("scrape", label, "ours", round(value, 1), "ms", value / base, None, limit)


def fill(server: Server, world: World) -> None:
    """Have every process count what there is to count."""
    warm_up(server, world)


def scrape(server: Server) -> float:
    """Return the ms of one, on a connection of its own as Prometheus' first is."""
    headers: Mapping[str, str] = {"Authorization": f"Bearer {METRICS_TOKEN}"}
    connection = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.connect()
    began = time.perf_counter()
    connection.request("GET", "/metrics", headers=headers)
    response = connection.getresponse()
    response.read()
    took = (time.perf_counter() - began) * 1e3
    connection.close()
    if response.status != 200:
        raise ServerError(f"/metrics answered {response.status}")
    return took


def reload(server: Server) -> None:
    """Replace every process, and wait until the old ones have gone."""
    master = psutil.Process(server.process.pid)
    before = {child.pid for child in master.children()}
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + PATIENCE
    while (now := {c.pid for c in master.children()}) & before or len(now) != PROCESSES:
        if time.monotonic() > deadline:
            raise ServerError(f"the processes were not replaced:\n{server.tail()}")
        time.sleep(0.05)
