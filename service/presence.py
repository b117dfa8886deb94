"""Which processes run, and in which version: each says so in Redis from time to time.

Only where there is an OPS_TOKEN, whose page is what reads it. Nothing to change here.
"""

import os
import socket
import threading
import time
from typing import Any, NamedTuple

import structlog
from pydantic_core import from_json, to_json
from redis import RedisError
from redis.client import Pipeline

from service.redis import make_client
from service.settings import Settings

log = structlog.get_logger()

EVERY = 5.0  # seconds between two signs of life
SILENCE = 30.0  # seconds after which a process is taken for gone
KEPT = 20  # versions
PROCESSES, FIRST, LAST = "ops:processes", "ops:versions:first", "ops:versions:last"


class Presence(NamedTuple):
    """A process, as it shows itself."""

    kind: str
    host: str
    pid: int
    version: str
    started: float  # Unix seconds


def of_this_process(kind: str, settings: Settings) -> Presence:
    return Presence(kind, socket.gethostname(), os.getpid(), settings.commit_sha, time.time())


def announce(pipeline: Pipeline, presence: Presence) -> None:
    """Have the pipeline say that it runs. Of each version the first and the last time is kept:
    so one that came back, after a rollback, is the one that was seen last."""
    now = time.time()
    pipeline.zadd(PROCESSES, {to_json(presence): now})
    pipeline.zremrangebyscore(PROCESSES, 0, now - 10 * SILENCE)  # not at once: clocks differ
    pipeline.zadd(FIRST, {presence.version: now}, nx=True)
    pipeline.zadd(LAST, {presence.version: now})
    for key in (FIRST, LAST):
        pipeline.zremrangebyrank(key, 0, -KEPT - 1)


def processes(client: Any) -> list[dict[str, Any]]:
    """Those that were heard of lately, by kind and age. Raises RedisError."""
    now = time.time()
    found = client.zrangebyscore(PROCESSES, now - SILENCE, "+inf", withscores=True)
    alive = [
        Presence(*from_json(member))._asdict() | {"silent_s": max(0.0, round(now - seen, 1))}
        for member, seen in found
    ]
    return sorted(alive, key=lambda each: (each["kind"], each["started"], each["pid"]))


def versions(client: Any) -> list[dict[str, Any]]:
    """The last versions, the newest first, and when each was seen first and last (Unix seconds)."""
    first = dict(client.zrange(FIRST, 0, -1, withscores=True))
    last = dict(client.zrange(LAST, 0, -1, withscores=True))
    newest = sorted(first, key=lambda each: first[each], reverse=True)
    return [
        {"version": each.decode(), "first": first[each], "last": last.get(each, first[each])}
        for each in newest
    ]


def keep(kind: str, settings: Settings) -> None:
    """Say that this process runs, for as long as it does: by a thread, so not before a fork."""
    if settings.ops_token is not None:
        threading.Thread(target=_run, args=(kind, settings), name="presence", daemon=True).start()


def _run(kind: str, settings: Settings) -> None:
    client, presence = make_client(settings), of_this_process(kind, settings)
    was_down = False
    while True:
        try:
            with client.pipeline(transaction=False) as pipeline:
                announce(pipeline, presence)
                pipeline.execute()
            was_down = False
        except RedisError as error:
            if not was_down:
                log.warning("nobody is told that this process runs", reason=str(error))
            was_down = True
        time.sleep(EVERY)
