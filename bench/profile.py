"""Where a request's CPU goes: the application in this process, in a loop, under cProfile."""

import contextlib
import cProfile
import importlib
import io
import os
import pstats
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bench.cells import Cell, body, headers, paths
from bench.variants import Variant
from bench.world import World

WARM_UP = 200  # requests


def profile(world: World, variant: Variant, cell: Cell, count: int, lines: int) -> str:
    """Return µs of CPU a request without the server, and the hot spots of `count` requests."""
    os.environ.update(variant.environment(world.urls, port=8000))
    # As gunicorn.conf.py has it: metrics that are right across processes cost more.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics := world.folder / "metrics")
    metrics.mkdir()
    with muted():
        bare, profiler = run(world, variant, cell, count)
    out = io.StringIO()
    stats = pstats.Stats(profiler, stream=out).strip_dirs()
    for order in ("tottime", "cumulative"):
        stats.sort_stats(order).print_stats(lines)
    title = f"{variant.name}, {cell.label}: {bare:.0f} µs a request in the application"
    return f"{title}\n{out.getvalue()}"


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """Send what is written to the file descriptors 1 and 2, the logs, to nowhere."""
    sys.stdout.flush()
    kept = os.dup(1), os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)


def run(world: World, variant: Variant, cell: Cell, count: int) -> tuple[float, cProfile.Profile]:
    """Return µs of CPU a request without the profiler, and the profile of as many requests."""
    module, name = variant.wsgi.split(":")
    app = getattr(importlib.import_module(module), name)
    environs = wsgi_environs(world, variant, cell)

    def ask_for(times: int) -> None:
        for turn in range(times):
            ask(app, environs[turn % len(environs)], cell.status)

    ask_for(WARM_UP)
    started = time.process_time()
    ask_for(count)
    bare = (time.process_time() - started) / count * 1e6
    # Of CPU: what waits for PostgreSQL and Redis is their time, and a busy machine's.
    with cProfile.Profile(time.thread_time) as profiler:
        ask_for(count)
    return bare, profiler


def wsgi_environs(world: World, variant: Variant, cell: Cell) -> list[dict[str, Any]]:
    """Return what gunicorn would pass on, but for `wsgi.input`."""
    sent = {
        "HTTP_" + name.upper().replace("-", "_"): value
        for name, value in headers(cell, world.seed, variant.signed_in).items()
    }
    content = body(cell, world.seed, variant.signed_in)
    fixed = {
        **sent,
        "REQUEST_METHOD": cell.method,
        "SCRIPT_NAME": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": sent.get("HTTP_CONTENT_TYPE", ""),
        "CONTENT_LENGTH": str(len(content)) if content else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.errors": io.StringIO(),
        "bench.body": content,
    }
    split = [path.partition("?") for path in paths(cell, world.seed)]
    return [
        {**fixed, "PATH_INFO": path, "QUERY_STRING": query, "RAW_URI": path}
        for path, _, query in split
    ]


def ask(app: Callable[..., Iterable[bytes]], fixed: dict[str, Any], status: int) -> None:
    """Call the application once. Raises AssertionError for another status."""
    seen: list[str] = []
    environ = {**fixed, "wsgi.input": io.BytesIO(fixed["bench.body"])}
    answer = app(environ, lambda line, *_: seen.append(line))
    content = b"".join(answer)
    close = getattr(answer, "close", None)
    if close is not None:
        close()
    assert int(seen[0][:3]) == status, (seen, content[:200])
