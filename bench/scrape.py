"""What a scrape of /metrics costs, with four processes, and after many came and went."""

import signal
import time
from collections.abc import Mapping
from http.client import HTTPConnection

import psutil

from bench import processes
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
    """ms that a scrape takes, the best of many: what disturbs the machine only adds to it. Whether
    it grows is seen by the CPU of the servers, which is disturbed less."""
    variant = Four("ours", SERVICE, OURS.wsgi, signed_in=True)
    with running(variant, world.urls, world.folder) as server:
        # Those that come first serve beside those that go: from the second on nothing is new.
        for _ in range(2):
            replace(server, world)
        took, before = cost(server, scrapes)
        for number in range(reloads):
            replace(server, world)
            say(f"scrape: reload {number + 1}/{reloads}")
        took_then, after = cost(server, scrapes)
    return [
        row(f"scrape ({PROCESSES} processes) / {LIMIT:.0f} ms", min(took, took_then), LIMIT, 1.0),
        row(f"its CPU after {reloads} reloads / before", after, before, GROWTH),
    ]


def cost(server: Server, scrapes: int) -> tuple[float, float]:
    """Return the ms of the quickest, and the ms of CPU of one."""
    pids = processes.tree(server.process.pid)
    scrape(server)
    before = processes.cpu(pids)
    quickest = min(scrape(server) for _ in range(scrapes))
    return quickest, (processes.cpu(pids) - before) / scrapes * 1e3


def row(label: str, value: float, base: float, limit: float) -> Row:
    return Row("scrape", label, "ours", round(value, 1), "ms", value / base, None, limit)


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


def replace(server: Server, world: World) -> None:
    """Replace every process, wait until the old ones have gone, and have the new ones count."""
    master = psutil.Process(server.process.pid)
    before = {child.pid for child in master.children()}
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + PATIENCE
    while (now := {c.pid for c in master.children()}) & before or len(now) != PROCESSES:
        if time.monotonic() > deadline:
            raise ServerError(f"the processes were not replaced:\n{server.tail()}")
        time.sleep(0.05)
    warm_up(server, world)
