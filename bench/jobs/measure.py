"""The measurements of jobs, in rounds that take turns."""

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import redis
from rq import Queue

from bench.jobs.noop import COUNTER, noop, ours
from bench.measure import say
from bench.report import Row, interval
from bench.variants import OURS, PROCESSES, ROOT
from bench.world import World
from service.app import create_app
from service.db import session
from service.outbox import enqueue
from service.settings import Settings

ROUNDS, JOBS, SLOW_JOBS, WARM_UP = 5, 2000, 300, 100
LIMIT = 120.0  # seconds that a round may take

OVER_RQ = 5.0  # times as fast as RQ's default worker, at least
OVER_CELERY = 0.8


@dataclass(frozen=True)
class System:
    """Something that runs jobs: so many of a command, and how to hand over `count` of them."""

    name: str
    command: tuple[str, ...]
    commands: int
    jobs: int
    hand_over: Callable[[int], None]


def systems(client: redis.Redis) -> list[System]:
    from bench.jobs import celery_app, dramatiq_app  # need REDIS_URL

    app = create_app(Settings.load(), "bench")

    def to_ours(count: int) -> None:
        with app.app_context():
            for _ in range(count):
                enqueue(session, ours)
                session.commit()

    def to_rq(count: int) -> None:
        queue = Queue(connection=client)
        for _ in range(count):
            queue.enqueue(noop)

    def to_celery(count: int) -> None:
        for _ in range(count):
            celery_app.task.delay()

    def to_dramatiq(count: int) -> None:
        for _ in range(count):
            dramatiq_app.task.send()

    celery = ("-m", "celery", "-A", "bench.jobs.celery_app", "worker", "--loglevel=WARNING")
    dramatiq = ("-m", "dramatiq", "bench.jobs.dramatiq_app", "--processes", str(PROCESSES))
    return [
        System("RQ's default worker", ("-m", "bench.jobs.rq_worker"), 2, SLOW_JOBS, to_rq),
        System("celery prefork", (*celery, f"--concurrency={PROCESSES}"), 1, JOBS, to_celery),
        System("dramatiq", dramatiq, 1, JOBS, to_dramatiq),
        System("ours", ("-m", "bench.jobs.our_worker"), 1, JOBS, to_ours),
    ]


@contextlib.contextmanager
def started(system: System, world: World) -> Iterator[None]:
    log = (world.folder / f"{system.name}.log").open("ab")
    processes = [
        subprocess.Popen(
            [sys.executable, *system.command],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        for _ in range(system.commands)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        log.close()


def microseconds(client: redis.Redis, system: System) -> float:
    """From the first job that is handed over to the last that has run, a job."""
    took = 0.0
    for count in (WARM_UP, system.jobs):
        client.set(COUNTER, 0)
        start = time.perf_counter()
        system.hand_over(count)
        while int(client.get(COUNTER) or 0) < count:
            time.sleep(0.002)
            if time.perf_counter() - start > LIMIT:
                raise TimeoutError(f"{system.name} did not run {count} jobs in {LIMIT} s")
        took = time.perf_counter() - start
    return took / system.jobs * 1e6


def throughput(world: World, rounds: int) -> list[Row]:
    """Jobs end to end: enqueued one by one, each committed, by one process; run by two."""
    os.environ.update(OURS.environment(world.urls, port=8000))
    os.environ["WORKER_CONCURRENCY"] = str(PROCESSES)
    client = redis.Redis.from_url(world.urls.redis)
    found = systems(client)
    values: dict[str, list[float]] = {system.name: [] for system in found}
    for round_ in range(rounds):
        for system in found:
            with started(system, world):
                values[system.name].append(microseconds(client, system))
        rates = ", ".join(f"{name} {1e6 / each[-1]:.0f}/s" for name, each in values.items())
        say(f"jobs {round_ + 1}/{rounds}: {rates}")
    rq, celery, dramatiq, mine = values.values()
    return [
        *compared("no-op job, against RQ", found[0].name, rq, mine, 1 / OVER_RQ),
        *compared("… against celery", found[1].name, celery, mine, 1 / OVER_CELERY),
        *compared("… against dramatiq", found[2].name, dramatiq, mine, None),
    ]


def compared(
    label: str, name: str, base: list[float], mine: list[float], limit: float | None
) -> list[Row]:
    ratios = [a / b for a, b in zip(mine, base, strict=True)]
    middle = statistics.median
    return [
        Row("jobs", label, name, round(middle(base), 1), "µs", 1.0, None, None),
        Row(
            *("jobs", label, "ours", round(middle(mine), 1), "µs"),
            round(middle(ratios), 3),
            interval(ratios),
            limit,
        ),
    ]
