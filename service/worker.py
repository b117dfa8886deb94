"""`python -m service worker`: a parent that imports all there is, and children that run jobs.

Nothing to change here: WORKER_CONCURRENCY says how many. A job runs inside a child, without a
fork of its own; what it can do to a child, the parent survives: a child that dies or hangs
loses its attempt at once and is replaced, one that has grown is replaced after its job.
"""

import contextlib
import gc
import os
import signal
import socket
import time
from collections.abc import Sequence
from datetime import timedelta
from secrets import token_hex

import structlog
from flask import Flask
from redis import RedisError
from rq import worker_registration
from sqlalchemy.exc import DBAPIError

from service import backlog, claims, metrics, presence, pulse, server
from service.alarm import Alarm
from service.app import create_app
from service.board import Board
from service.child import Child
from service.claims import WorkerDied, WorkerStopped
from service.consumer import Consumer
from service.db import Database
from service.exporter import Exporter
from service.queue import QUEUES
from service.redis import make_client
from service.settings import Settings

log = structlog.get_logger()

TICK = 1.0  # seconds between two looks at the children
ANNOUNCE = 5.0  # seconds between two signs of life
OVERTIME = 10.0  # seconds after its time-out until a job that did not notice it is killed
LAST_WORDS = 3.0  # seconds before the end of the grace that jobs have to go back to the queue
SUSPENDED = "rq:suspended"  # set by `rq suspend`
HAD_TO_STOP = "the worker had to stop"
REDIS_TIMEOUT = 5  # seconds; longer than Consumer's POLL
QUICK = 1  # second
BRIEFLY = 0.2  # seconds that we wait for a store, which mostly takes less; else for the next tick


class Crew:
    """The children and what is owed to them: a start, a lease, an end."""

    def __init__(self, app: Flask, settings: Settings, queues: Sequence[str]) -> None:
        self._app = app
        self._settings = settings
        self._queues = queues
        # The children wait in BLPOP; we must not wait, for we have them to look after.
        self._of_children = make_client(settings, socket_timeout=REDIS_TIMEOUT)
        self._client = make_client(settings, socket_timeout=QUICK)
        self._database = Database(_quick(settings), "worker")
        self._host = socket.gethostname()
        count = server.children(settings)
        board = Board(count)
        self._children = [
            Child(number, board.slot(number), self._consumer()) for number in range(count)
        ]
        self._orphans: dict[str, BaseException] = {}  # jobs of these workers are to be failed
        self._gone: list[Consumer] = []  # and Redis is to forget these
        self._alarm = Alarm()
        self._exporter = Exporter(settings)
        self._presence = presence.of_this_process("worker", settings)
        self._told_at = 0.0
        self._waited: float | None = None  # seconds, by the oldest job; None: or nobody knows
        self._may_work = True  # as far as Redis says
        self._hung_up = False

    def run(self) -> int:
        """Work until SIGTERM or SIGINT; then 0."""
        self._alarm.install()
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to wake up
        if self._settings.rotation:
            signal.signal(signal.SIGHUP, self._hang_up)
        with contextlib.suppress(RedisError):
            for queue in self._consumer().queues:  # names of workers that were killed
                worker_registration.clean_worker_registry(queue)
        with pulse.beating("worker") as beat:
            log.info("worker started", processes=len(self._children), queues=list(self._queues))
            metrics.started("worker")
            while not self._alarm.rung:
                self._start_processes()
                self._look_after_them()
                self._read_secrets()
                beat(self._trouble())
                self._alarm.sleep(TICK)
            try:
                return self._wind_up(beat)
            finally:
                self._exporter.stop()

    def _hang_up(self, *_: object) -> None:
        self._hung_up = True

    def _read_secrets(self) -> None:
        """Those of the children to come, from time to time, and after a SIGHUP, when each child
        reads its own too. Nobody waits: the children that there are need us."""
        if not (rotation := self._settings.rotation):
            return
        if self._hung_up and rotation.begin():  # or at a later tick: what is read now may be older
            self._hung_up = False
            self._signal_all(signal.SIGHUP)
        elif rotation.is_due():
            rotation.begin()

    def _start_processes(self) -> None:
        """Those that are not there. A machine that has no room for one may have it later."""
        now = time.monotonic()
        due = [child for child in self._children if not child.pid and now >= child.start_at]
        has_exporter = not self._exporter.is_missing()
        if (has_exporter and not due) or not self._may_fork():
            return
        try:
            for child in due:
                child.start(self._app, self._consumer(), self._settings, lambda: self._hung_up)
            if not has_exporter:
                self._exporter.start()
        except OSError as error:
            log.error("a process of the worker cannot be started", reason=str(error))

    def _may_fork(self) -> bool:
        """Whether there are the newest secrets, and no thread that reads them, which would not go
        well with a fork; a store that is down keeps us from it while it is asked, and no longer."""
        rotation = self._settings.rotation
        return rotation is None or rotation.read_for_fork(BRIEFLY)

    def _consumer(self) -> Consumer:
        name = f"{self._host}.{os.getpid()}.{token_hex(4)}"
        return Consumer(self._app, self._settings, self._of_children, self._queues, name)

    def _look_after_them(self) -> None:
        """What is due: reap, kill who is overdue, renew leases, announce."""
        self._reap()
        alive, busy = self._alive(), sum(bool(child.slot.deadline) for child in self._alive())
        metrics.CHILDREN.labels("busy").set(busy)
        metrics.CHILDREN.labels("idle").set(len(alive) - busy)
        now = time.monotonic()
        for child in self._children:
            deadline = child.slot.deadline
            if child.pid and deadline and now > deadline + OVERTIME:
                child.killed_because = "it did not notice its time-out"
                child.send_signal(signal.SIGKILL)
        if now - self._told_at >= ANNOUNCE or self._orphans:
            self._told_at = now
            self._tell_database()
            self._tell_redis()

    def _reap(self) -> None:
        for child in self._children:
            if (code := child.reap()) is not None:
                self._buried(child, code)

    def _buried(self, child: Child, code: int) -> None:
        """Note the end of a child, and of the job that it was at."""
        self._gone.append(child.consumer)
        if not code and not child.slot.deadline:
            return
        how = child.killed_because or _told(code)
        metrics.DEATHS.inc()
        log.error("worker process died", how=how, running=bool(child.slot.deadline))
        if child.slot.deadline:
            kind = WorkerStopped if child.killed_because == HAD_TO_STOP else WorkerDied
            self._orphans[child.consumer.name] = kind(f"the process that ran it died: {how}")

    def _trouble(self) -> str:
        """What `healthcheck` is to say: another worker may do better. Not while the database or
        Redis does not answer or workers are suspended, for then it would not."""
        limit = self._settings.job_wait_limit.total_seconds()
        if self._waited is None or self._waited <= limit or not self._may_work:
            return ""
        return f"leaves jobs waiting: the oldest for {self._waited:.0f} s, of {limit:.0f}"

    def _tell_database(self) -> None:
        """Keep the jobs of the living, let those of the dead be tried again, see what waits."""
        self._waited = None
        running = [each for c in self._alive() if not c.stopped and (each := c.slot.running)]
        try:
            with self._app.app_context(), self._database.apart() as connection:
                for name, error in list(self._orphans.items()):
                    claims.abandoned(connection, name, error)
                    del self._orphans[name]
                if running:
                    claims.renew(connection, running, self._settings.job_lease)
                self._waited = backlog.oldest(connection, self._queues)
        except DBAPIError as error:
            log.warning("leases are not renewed", reason=str(error.orig).strip())

    def _tell_redis(self) -> None:
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                for gone in self._gone:
                    gone.leave(pipeline)
                for child in self._alive():
                    child.consumer.announce(pipeline, child.pid, bool(child.slot.deadline))
                if self._settings.ops_token:
                    presence.announce(pipeline, self._presence)
                pipeline.exists(SUSPENDED)
                self._may_work = not pipeline.execute()[-1]
                self._gone.clear()
        except RedisError as error:
            self._may_work = False
            log.warning("Redis does not answer", reason=str(error))

    def _wind_up(self, beat: pulse.Beat) -> int:
        """Let jobs finish, then go back to the queue, then no more."""
        log.info("worker stops", running=sum(bool(c.slot.deadline) for c in self._children))
        grace = self._settings.shutdown_grace.total_seconds()
        end = time.monotonic() + grace
        interrupt_at = end - min(LAST_WORDS, grace / 2)
        interrupted = False
        while self._alive() and (now := time.monotonic()) < end:
            self._signal_all(signal.SIGTERM)  # again: a child may have had no handler for it yet
            if now >= interrupt_at and not interrupted:
                interrupted = True
                self._signal_all(signal.SIGUSR1)
            self._look_after_them()
            beat(self._trouble())
            self._alarm.sleep(0.2)
        for child in self._alive():
            child.killed_because = HAD_TO_STOP
            child.send_signal(signal.SIGKILL)
        while self._alive():
            self._reap()
            self._alarm.sleep(0.05)
        self._tell_database()
        self._tell_redis()
        log.info("worker has stopped")
        return 0

    def _alive(self) -> list[Child]:
        return [child for child in self._children if child.pid]

    def _signal_all(self, number: signal.Signals) -> None:
        for child in self._alive():
            child.send_signal(number)


def run(settings: Settings, queues: Sequence[str] | None) -> int:
    app = create_app(settings, "worker")
    gc.freeze()  # what was imported is shared with the children for good
    gc.enable()
    return Crew(app, settings, queues or QUEUES).run()


def _quick(settings: Settings) -> Settings:
    """For the parent, which must not wait: it has children to look after."""
    changes = {"database_connect_retries": 0, "database_statement_timeout": timedelta(seconds=3)}
    return settings.model_copy(update=changes)


def _told(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
