"""RQ's worker, which runs jobs in its own process, as the rows of the outbox say.

Of RQ there is the protocol with Redis (queues, registration, `rq info`, `rq suspend`), the loop
and the time-outs. What it would load from Redis, the function and its arguments, comes from the
row: only ids are read there, so whoever can write to Redis cannot run code.
"""

import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from flask import Flask
from redis import Redis, RedisError
from redis.client import Pipeline
from rq import worker_registration
from rq.exceptions import StopRequested
from rq.serializers import JSONSerializer
from rq.suspension import is_suspended
from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty
from rq.worker import BaseWorker
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from service import claims
from service.attempt import Interrupted, perform
from service.board import Slot
from service.claims import Claim
from service.db import Database
from service.settings import Settings

log = structlog.get_logger()

POLL = 1  # seconds that an idle worker waits for Redis before it looks whether it is to stop
SUSPENSION_POLL = 5.0  # seconds between two looks whether somebody ran `rq suspend`
OUTAGE_PAUSE = 1.0  # seconds
EXPIRY = 30  # seconds after which RQ forgets a worker that is not announced again


_SET_NAME = "SET {} application_name = '{}'"


class Delivery:
    """A claimed job, as it passes through RQ's loop."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.id = str(claim.id)


class Consumer(BaseWorker):
    """A process that takes one job after the other, until it is told to stop."""

    def __init__(
        self, app: Flask, settings: Settings, client: Redis, queues: Sequence[str], name: str
    ) -> None:
        super().__init__(
            list(queues),
            name,
            connection=client,
            serializer=JSONSerializer,
            prepare_for_work=False,
        )
        self._app = app
        self._database: Database = app.extensions["database"]
        self._lease = settings.job_lease
        self._memory = settings.worker_memory
        self._slot: Slot
        self._parent = os.getpid()
        self._interruptible = False
        self._looked_at = 0.0  # monotonic seconds
        self.birth_date = datetime.now(UTC)

    def _set_connection(self, connection: Redis) -> Redis:
        """As it is: RQ would have it wait for 415 s for a Redis that hangs."""
        return connection

    # What follows runs in the child.

    def run(self, slot: Slot) -> None:
        """Take jobs until told to stop, or until the parent is gone. Raises RuntimeError if RQ's
        loop ends for another reason, which it has logged."""
        self._slot = slot
        self._name_connections()
        self.work()
        if not self._stop_requested:
            raise RuntimeError("RQ's loop has ended by itself")

    def _name_connections(self) -> None:
        """So that who takes a job back can end what we have open."""
        name = claims.connection_name(self.name)
        engine = self._database.engine
        if self._app.extensions["settings"].database_prepared_statements:
            event.listen(engine, "connect", lambda c, _: c.execute(_SET_NAME.format("", name)))
        else:  # behind PgBouncer a connection is ours for a transaction
            event.listen(
                engine, "begin", lambda c: c.exec_driver_sql(_SET_NAME.format("LOCAL", name))
            )

    def _install_signal_handlers(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.request_stop)
        signal.signal(signal.SIGUSR1, self._interrupt)

    def request_stop(self, signum: int, frame: Any) -> None:
        """Stop after the job that runs, as often as this is asked for: a platform may send
        SIGTERM to the whole group, and our parent does it again."""
        self._stop_requested = True

    def _interrupt(self, signum: int, frame: Any) -> None:
        """The grace is over."""
        self._stop_requested = True
        if self._interruptible:
            self._interruptible = False
            raise Interrupted("the worker had to stop")

    def bootstrap(self, *_: Any, **__: Any) -> None:
        """The parent announces us; logs are the service's; no commands are taken from Redis."""

    def teardown(self) -> None:
        """The parent takes us off the list."""

    @property
    def should_run_maintenance_tasks(self) -> bool:
        """RQ's registries are empty: the outbox knows what runs."""
        return False

    def check_for_suspension(self, burst: bool) -> None:
        if (now := time.monotonic()) - self._looked_at <= SUSPENSION_POLL:
            return
        self._looked_at, told = now, False
        with suppress(RedisError):  # the next step notices, and waits
            while not self._stop_requested and is_suspended(self.connection):
                if not told:
                    log.warning("worker is suspended, until somebody runs `rq resume`")
                told = True
                time.sleep(POLL)
                self.heartbeat()

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:
        self._state = state

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """After each job: is it time to go? The parent does what RQ means by it."""
        if os.getppid() != self._parent:
            self._stop_requested = True
        if peak_memory() > self._memory:
            log.info("worker has grown too large and makes room for a new one")
            self._stop_requested = True

    def dequeue_job_and_maintain_ttl(  # type: ignore[override]
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Delivery, None]:
        """Wait for an id whose row can be claimed. Raises StopRequested."""
        keys = self.queue_keys()
        while not self._stop_requested:
            try:
                self.check_for_suspension(False)
                if (popped := self.connection.blpop(keys, POLL)) is None:
                    self.heartbeat()
                elif (claim := self._claim(*popped)) is not None:
                    return Delivery(claim), None
            except RedisError as error:
                log.warning("Redis does not answer", reason=str(error))
                time.sleep(OUTAGE_PAUSE)
                self.heartbeat()
        raise StopRequested

    def _claim(self, key: bytes, value: bytes) -> Claim | None:
        try:
            id = UUID(value.decode())
        except ValueError:
            log.error("there is something in the queue that is no job", queue=key.decode())
            return None
        try:
            with self._database.apart() as connection:
                return claims.claim(connection, id, self.name, self._lease)
        except DBAPIError as error:
            log.warning("the database does not answer", reason=str(error.orig).strip())
            self.connection.rpush(key, value)
            time.sleep(OUTAGE_PAUSE)
            return None

    def execute_job(self, job: Delivery, queue: None) -> None:  # type: ignore[override]
        try:
            self._slot.begin(job.claim)
            perform(self._app, job.claim, self._limit(job.claim))
        except Interrupted:
            raise StopRequested from None
        except DBAPIError as error:
            # It is not known what became of it. The row knows, or it runs again after its lease.
            log.error("the end of a job was not recorded", job=job.id, reason=str(error.orig))
        finally:
            self._slot.end()

    @contextmanager
    def _limit(self, claim: Claim) -> Iterator[None]:
        """End what takes longer than the function's time-out, or when the grace is over."""
        seconds = self._slot.timeout
        with UnixSignalDeathPenalty(seconds, JobTimeoutException):  # type: ignore[no-untyped-call]
            self._interruptible = True
            try:
                yield
            finally:
                self._interruptible = False

    # What follows runs in the parent.

    def announce(self, pipeline: Pipeline, pid: int, busy: bool) -> None:
        """Tell RQ of this worker, for the next EXPIRY seconds."""
        self.pid = pid
        self.last_heartbeat = datetime.now(UTC)
        about = {**self.serialize(), "state": "busy" if busy else "idle"}
        pipeline.hset(self.key, mapping={k: v for k, v in about.items() if v is not None})
        pipeline.expire(self.key, EXPIRY)
        worker_registration.register(self, pipeline)
        for queue in self.queues:
            pipeline.sadd(queue.redis_queues_keys, queue.key)

    def leave(self, pipeline: Pipeline) -> None:
        worker_registration.unregister(self, pipeline)
        pipeline.delete(self.key)


def peak_memory() -> int:
    """The most that this process has used, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
