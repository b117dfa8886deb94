"""`python -m bench.keepalive`: how many connections a process of web should hold at a time.

Clients that keep their connections and ask without pause, as a proxy with upstream keep-alive
does; requests per second, latencies, and how unevenly the two processes are used.
"""

import http.client
import statistics
import sys
import threading
import time

import psutil

from bench.server import Server, running
from bench.variants import OURS, PROCESSES, THREADS
from bench.world import World, built

SECONDS = 4.0
CONNECTIONS = (2 * THREADS, 4 * THREADS, 16 * THREADS, 1000)
CLIENTS = (8, 64)


def ask(port: int, path: str, stop: threading.Event, latencies: list[float]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while not stop.is_set():
        start = time.perf_counter()
        try:
            connection.request("GET", path)
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            connection.close()  # closed while it was idle: the next request opens another
            continue
        latencies.append(time.perf_counter() - start)


def measured(server: Server, path: str, clients: int) -> tuple[float, list[float], float]:
    """Requests per second, their latencies, and the busier process's share of the CPU time."""
    workers = psutil.Process(server.process.pid).children()
    stop, latencies = threading.Event(), []
    before = [sum(worker.cpu_times()[:2]) for worker in workers]
    threads = [
        threading.Thread(target=ask, args=(server.port, path, stop, latencies))
        for _ in range(clients)
    ]
    for thread in threads:
        thread.start()
    time.sleep(SECONDS)
    stop.set()
    for thread in threads:
        thread.join()
    used = [sum(w.cpu_times()[:2]) - b for w, b in zip(workers, before, strict=True)]
    return len(latencies) / SECONDS, latencies, max(used) / max(sum(used), 1e-9)


def table(world: World) -> None:
    print(f"{PROCESSES} processes of {THREADS} threads")
    print("worker_connections  clients  requests/s  p50 ms  p99 ms  max ms  busier process")
    for limit in CONNECTIONS:
        for clients in CLIENTS:
            more = {"GUNICORN_CMD_ARGS": f"--worker-connections={limit}"}
            with running(Limited(OURS, more), world.urls, world.folder) as server:
                while len(psutil.Process(server.process.pid).children()) < PROCESSES:
                    time.sleep(0.05)
                time.sleep(1)  # so that both listen
                path = f"/api/posts/{world.seed.ids[0]}"
                rate, latencies, share = measured(server, path, clients)
            cuts = [1000 * cut for cut in statistics.quantiles(latencies, n=100)]
            print(
                f"{limit:18}  {clients:7}  {rate:10.0f}  {cuts[49]:6.1f}  {cuts[98]:6.1f}"
                f"  {1000 * max(latencies):6.0f}  {share:14.0%}"
            )


class Limited:
    """A variant with more variables."""

    def __init__(self, variant: object, more: dict[str, str]) -> None:
        self._variant, self._more = variant, more

    def __getattr__(self, name: str) -> object:
        return getattr(self._variant, name)

    def environment(self, *arguments: object) -> dict[str, str]:
        return {**self._variant.environment(*arguments), **self._more}  # type: ignore[attr-defined]


if __name__ == "__main__":
    with built() as built_world:
        table(built_world)
    sys.exit(0)
