"""Workers and a scheduler of ours, and beside them a naive worker: the control of each fault."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple, Self
from uuid import uuid4

import psutil
import psycopg
from flask import Flask
from redis import Redis as Client
from redis import RedisError
from rq import Queue
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from service.app import create_app
from service.db import session
from service.devservers import Postgres, Redis
from service.outbox import enqueue
from tests.chaos import records
from tests.children import Child, Logs
from tests.conftest import make_settings
from tests.serving import own_database, variables

SERVICE = "import sys, tests.chaos.records; from service.__main__ import main; sys.exit(main({!r}))"
NAIVE = """
import os, sys, redis, tests.chaos.records, service.app
from rq import Queue, Worker
connection = redis.Redis.from_url(os.environ["REDIS_URL"])
print('{"event": "naive worker started"}', flush=True)
Worker([Queue("naive", connection=connection)], connection=connection).work()
"""
# So that a fault is over within seconds; two tests take the defaults.
QUICK = {"JOB_LEASE": "10s", "OUTBOX_RECHECK": "3s"}


class Tally(NamedTuple):
    """What came of the jobs of one system."""

    jobs: int
    done: int
    lost: int
    twice: int


class Outcome(NamedTuple):
    """What a fault did to ours and to the control."""

    ours: Tally
    naive: Tally
    seconds: float  # until the last of ours was done
    ghosts: int  # effects of transactions that were rolled back
    stuck: int  # jobs of ours that have not ended
    again: int  # jobs of ours that took more than one attempt


class Plant:
    """Everything that jobs need, in a database and a Redis that may be broken."""

    def __init__(self, postgres: Postgres, redis: Redis, **more: str) -> None:
        self.postgres, self.redis = postgres, redis
        self.database_url = own_database(postgres)
        self.environment = {
            **variables(self.database_url, redis.url),
            "WORKER_CONCURRENCY": "2",
            "RECORDS_URL": self.database_url,
            **more,
        }
        self.app: Flask = create_app(make_settings(self.database_url, redis.url), "chaos")
        self.client = Client.from_url(redis.url, socket_timeout=2, socket_connect_timeout=2)
        self.keys: dict[str, set[str]] = {"ours": set(), "naive": set()}
        self.rolled_back: set[str] = set()
        self._stack = ExitStack()
        self._children: dict[str, list[Child]] = {"worker": [], "scheduler": [], "naive": []}
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._closing = threading.Event()
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(records.TABLE)

    def __enter__(self) -> Self:
        with contextlib.suppress(RedisError):
            self.client.flushall()
        for kind in ("worker", "scheduler"):
            self.add(kind)
        self.add("naive")
        self._keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._keeper.join()
        for child in [child for group in self._children.values() for child in group]:
            child.kill()
        self.app.extensions["handover"].close()
        self.app.extensions["database"].engine.dispose()
        self.client.close()

    def add(self, kind: str) -> Child:
        """One more process of a kind, ready."""
        child = self._make(kind)
        child.start()
        self._children[kind].append(child)
        return child

    def one(self, kind: str) -> Child:
        return self._children[kind][-1]

    def processes(self, kind: str) -> list[psutil.Process]:
        """The children of a worker, which run the jobs."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.one(kind).process.pid).children()
        return []

    def signal_all(self, kind: str, number: signal.Signals) -> None:
        """A signal to a worker and every process below it, whatever group they made of their own:
        as a platform that stops a container, or systemd a unit."""
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.one(kind).process.pid)
            for process in [*parent.children(recursive=True), parent]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)

    def _make(self, kind: str) -> Child:
        if kind == "naive":
            return Logs(["-c", NAIVE], self.environment, "naive worker started")
        return Logs(["-c", SERVICE.format([kind])], self.environment, f"{kind} started")

    def _keep(self) -> None:
        """Start anew what has ended, as a platform would; the naive worker too."""
        while not self._closing.wait(0.2):
            for group in self._children.values():
                for number, child in enumerate(group):
                    if child.process.poll() is not None:
                        ready = getattr(child, "_ready", "")
                        new = Logs(child.command, self.environment, ready)
                        new.launch()
                        group[number] = new

    def produce(self, count: int, seconds: float = records.SECONDS, pause: float = 0.0) -> None:
        """Commit so many jobs of each system; each tenth transaction of ours is rolled back."""
        for number in range(count):
            self._ours(seconds, roll_back=number % 10 == 9)
            self._naive(seconds)
            time.sleep(pause)

    def hand_over(self) -> None:
        """Let Redis be given all that was produced; nothing more is produced after this."""
        self.app.extensions["handover"].close()

    def _ours(self, seconds: float, roll_back: bool) -> None:
        key = uuid4().hex
        with self.app.app_context():
            try:
                session.execute(text("SELECT 1"))
                enqueue(session, records.record, key, seconds)
                if roll_back:
                    session.rollback()
                    self.rolled_back.add(key)
                    return
                session.commit()
            except DBAPIError:
                return  # not committed, so not promised
        self.keys["ours"].add(key)

    def _naive(self, seconds: float) -> None:
        """After the commit, which has happened by now: the job was promised."""
        key = uuid4().hex
        self.keys["naive"].add(key)
        with contextlib.suppress(RedisError):
            Queue("naive", connection=self.client).enqueue(records.naive, key, seconds)

    def settle(self, limit: float = 60) -> float:
        """Wait until all of ours have ended; return the seconds that took."""
        start = time.monotonic()
        while time.monotonic() - start < limit:
            with contextlib.suppress(psycopg.Error):
                if not self._unfinished():
                    break
            time.sleep(0.1)
        took = time.monotonic() - start
        with contextlib.suppress(RedisError):
            while Queue("naive", connection=self.client).count and time.monotonic() < start + limit:
                time.sleep(0.1)
        time.sleep(10 * records.SECONDS)
        return took

    def outcome(self, seconds: float) -> Outcome:
        with psycopg.connect(self.database_url) as connection:
            rows = connection.execute("SELECT kind, key FROM records").fetchall()
        return Outcome(
            self._tally("ours", rows),
            self._tally("naive", rows),
            seconds,
            len(self.rolled_back & {key for _, key in rows}),
            self._unfinished(),
            self._number("attempts > 1"),
        )

    def _tally(self, kind: str, rows: list[Any]) -> Tally:
        done = [key for each, key in rows if each == kind and key in self.keys[kind]]
        unique = set(done)
        wanted = self.keys[kind]
        return Tally(len(wanted), len(unique), len(wanted - unique), len(done) - len(unique))

    def count(self, status: str) -> int:
        return self._number(f"status = '{status}'")

    def waiting(self) -> int:
        """How many ids of ours Redis holds."""
        return int(self.client.llen("rq:queue:default"))  # type: ignore[arg-type]

    def _unfinished(self) -> int:
        return self._number("status IN ('queued', 'running', 'retrying')")

    def _number(self, which: str) -> int:
        query = f"SELECT count(*) FROM jobs WHERE {which}"
        with psycopg.connect(self.database_url, connect_timeout=2) as connection:
            row = connection.execute(query).fetchone()
        assert row
        return int(row[0])


@contextlib.contextmanager
def meanwhile(action: Callable[[], None]) -> Iterator[None]:
    """Do something in a thread while the body runs; what it raises is raised at the end."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()
    if failures:
        raise failures[0]
