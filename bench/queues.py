"""No-op jobs by ours, plain RQ and celery, each as it ships, on the same Redis with two processes.

Each variant is a command that works until it is stopped, and a function that hands it jobs.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import redis
from flask import Flask
from rq import Queue

from bench import noop
from service import db, migrations
from service.app import create_app
from service.devservers import Postgres, Redis
from service.outbox import enqueue
from service.settings import ROOT, Settings

PROCESSES = 2
JOBS = 2000
COUNTER = "bench:done"


def environment(database: str, redis_url: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "APP_ENV": "production",
        "JWT_SECRET": secrets.token_urlsafe(48),
        "DATABASE_URL": database,
        "REDIS_URL": redis_url,
        "WORKER_CONCURRENCY": str(PROCESSES),
        "LOG_FORMAT": "json",
    }


@contextlib.contextmanager
def started(command: list[str], env: dict[str, str], log: Path, count: int = 1) -> Iterator[None]:
    with log.open("wb") as out:
        processes = [
            subprocess.Popen(
                command, cwd=ROOT, env=env, stdout=out, stderr=out, start_new_session=True
            )
            for _ in range(count)
        ]
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                process.wait(30)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def measure(client: redis.Redis, hand_over: Callable[[int], None], jobs: int) -> float:
    """Jobs per second, from the first that is handed over to the last that has run."""
    for count in (100, jobs):  # the first is to warm up
        client.set(COUNTER, 0)
        start = time.perf_counter()
        hand_over(count)
        handed = time.perf_counter() - start
        while int(client.get(COUNTER) or 0) < count:
            time.sleep(0.005)
            assert time.perf_counter() - start < 120, client.get(COUNTER)
    took = time.perf_counter() - start
    print(f"   handed over in {handed:.2f} s, done after {took:.2f} s", file=sys.stderr)
    return jobs / took


def main() -> None:
    global celeries
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with (
            Postgres(folder / "postgres", options={"synchronous_commit": "off"}) as postgres,
            Redis(folder / "redis") as server,
        ):
            env = environment(postgres.url, server.url)
            os.environ.update(env)
            settings = Settings.load(Path("/dev/null"))
            migrations.migrate(settings)
            client = redis.Redis.from_url(server.url)
            app = create_app(settings, "bench")
            from bench import celeries

            for turn in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
                command = [
                    sys.executable,
                    "-c",
                    "import bench.noop, sys; from service.__main__ import main; sys.exit(main(['worker']))",
                ]
                with started(command, env, folder / "ours.log"):
                    print("ours", measure(client, lambda n: ours(app, n), JOBS))
                with started(
                    [
                        sys.executable,
                        "-m",
                        "celery",
                        "-A",
                        "bench.celeries",
                        "worker",
                        "-c",
                        "2",
                        "--loglevel",
                        "WARNING",
                    ],
                    env,
                    folder / "celery.log",
                ):
                    print("celery", measure(client, celery, JOBS))
                with started(
                    [sys.executable, "-m", "bench.plain_rq"], env, folder / "rq.log", count=2
                ):
                    print("rq", measure(client, lambda n: plain(client, n), 300))


def ours(app: Flask, count: int) -> None:
    with app.app_context():
        for _ in range(count):
            enqueue(db.session, noop.ours)
            db.session.commit()


def celery(count: int) -> None:
    for _ in range(count):
        celeries.noop.delay()


def plain(client: redis.Redis, count: int) -> None:
    queue = Queue(connection=client)
    for _ in range(count):
        queue.enqueue(noop.plain)


if __name__ == "__main__":
    main()
