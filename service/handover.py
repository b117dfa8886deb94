"""Hands committed jobs over to RQ's queues, behind the back of the request that wanted them.

Nothing to change here. It never fails and never waits: what Redis does not take, the relay
hands over some seconds later.
"""

import atexit
import os
import threading
import weakref
from collections import defaultdict
from contextlib import suppress
from queue import Empty, SimpleQueue
from uuid import UUID

import structlog
from flask import Flask
from redis import Redis

from service import metrics
from service.redis import Script, make_client
from service.settings import Settings

log = structlog.get_logger()

BATCH = 500
PUSH = "return redis.call('RPUSH', KEYS[1], unpack(ARGV))"  # as a script it costs a third
FLUSH_WITHIN = 1.0  # seconds that the end of a process waits for its last jobs

Waiting = tuple[str, UUID]


def key_of(queue: str) -> str:
    """The key of RQ's list of waiting ids. A test holds it equal to RQ's own, whose import costs
    web 0.15 s."""
    return f"rq:queue:{queue}"


class HandOver:
    """A thread that pushes ids onto RQ's queues, begun when there is the first one."""

    def __init__(self, client: Redis) -> None:
        self._script = Script(client, PUSH)
        self._begin_anew()
        forget = weakref.WeakMethod(self._begin_anew)
        os.register_at_fork(after_in_child=lambda: (method := forget()) and method())

    def _begin_anew(self) -> None:
        self._waiting: SimpleQueue[Waiting | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._was_down = False

    def __call__(self, queue: str, id: UUID) -> None:
        self._waiting.put((queue, id))
        if self._thread is None:
            self._start()

    def close(self) -> None:
        """Hand over what waits, for a second at most."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(FLUSH_WITHIN)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="handover", daemon=True)
                with suppress(RuntimeError):  # no more threads: the relay hands over then
                    thread.start()
                    self._thread = thread

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            try:
                while len(batch) < BATCH:
                    if (more := self._waiting.get_nowait()) is None:
                        self._waiting.put(None)
                        break
                    batch.append(more)
            except Empty:
                pass
            self._push(batch)

    def _push(self, batch: list[Waiting]) -> None:
        try:
            for queue, ids in by_queue(batch).items():
                self._script([key_of(queue)], ids)
            self._was_down = False
        except Exception as error:  # whatever it is, it must not end the thread
            metrics.HAND_OVERS_MISSED.inc(len(batch))
            if not self._was_down:
                log.warning("jobs are left to the relay", reason=str(error))
            self._was_down = True


def push(client: Redis, batch: list[Waiting]) -> None:
    """Push ids onto their queues, in order. Raises RedisError."""
    for queue, ids in by_queue(batch).items():
        client.rpush(key_of(queue), *ids)


def by_queue(batch: list[Waiting]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for queue, id in batch:
        found[queue].append(str(id))
    return found


def init_app(app: Flask, settings: Settings) -> None:
    hand_over = app.extensions["handover"] = HandOver(make_client(settings))
    atexit.register(hand_over.close)
