"""What /ops shows: a snapshot, whose parts are asked each on its own, and none for long.

Add a figure: in the function of its part, and in service/pages/ops.js. A part that cannot be had
says why, and hides no other.
"""

import os
import socket
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import structlog
from flask import Flask

from service import backlog, claims, logs, metrics, presence, vitals
from service.connections import CONNECT_TIMEOUT, Connection, connect_to, limited
from service.environment import project
from service.handover import key_of
from service.health import Answer, Health
from service.queue import QUEUES
from service.settings import Settings

log = structlog.get_logger()

MOST = 50  # failed jobs that are shown
WORST = 5  # routes that have answered with 5xx
FAILED = """
    SELECT id::text, function, queue, attempts, finished_at, coalesce(error, '')
    FROM jobs WHERE status = 'failed' ORDER BY finished_at DESC LIMIT %s
"""
COUNT = "SELECT count(*) FROM jobs WHERE status = 'failed'"

Part = dict[str, Any]


class Overview:
    """Of an app, as seen from the instance that is asked."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._settings = settings
        self._health: Health = app.extensions["health"]
        self._client = vitals.patient_client(settings)

    def snapshot(self) -> Part:
        status, answers = self._health.report()
        name, _ = project()
        return {
            "name": name,
            "at": datetime.now(UTC),
            "environment": self._settings.app_env,
            # The processes of a master share their counters: what one says, the others say.
            "instance": {"id": f"{(host := socket.gethostname())}.{os.getppid()}", "host": host},
            "version": self._settings.commit_sha,
            "status": status,
            "checks": {each: _told(answer) for each, answer in answers.items()},
            "traffic": _part(traffic),
            **self._of_database(answers["database"]),
            "redis": self._of_redis(answers["redis"]),
        }

    def _of_database(self, answer: Answer) -> Part:
        if answer.status == "down":  # it was asked just now
            return dict.fromkeys(("jobs", "database"), _error(answer.reason))
        with ExitStack() as stack:

            def connected() -> Part:
                found = connect_to(
                    self._settings.database_url,
                    patience=vitals.PATIENCE,
                    connect_timeout=CONNECT_TIMEOUT,
                )
                return {"is": stack.enter_context(found)}

            if "error" in (connection := _part(connected)):
                return dict.fromkeys(("jobs", "database"), connection)
            asked = connection["is"]
            return {"database": _asked(asked, database), "jobs": _asked(asked, jobs)}

    def _of_redis(self, answer: Answer) -> Part:
        if answer.status == "down":
            return _error(answer.reason)
        return _part(lambda: redis(self._client))


def _part(ask: Callable[[], Part]) -> Part:
    try:
        return ask()
    except Exception as error:  # whatever is wrong with it, the other parts are shown
        log.warning("a part of /ops cannot be had", reason=claims.told(error))
        return _error(claims.told(error))


def _asked(connection: Connection, question: Callable[[Connection], Part]) -> Part:
    """One that takes the database too long is cancelled, and the next may be asked."""

    def answer() -> Part:
        with limited(connection, vitals.LIMIT):
            return question(connection)

    return _part(answer)


def _error(reason: str) -> Part:
    return {"error": logs.hide(" ".join(reason.split()))[:300] or "it does not answer"}


def _told(answer: Answer) -> Part:
    return answer.public() | ({"reason": _error(answer.reason)["error"]} if answer.reason else {})


def traffic() -> Part:
    """Sums since the start of this instance: who asks again sees by how much they have grown."""
    requests: Counter[str] = Counter()
    buckets: Counter[float] = Counter()
    failing: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    uncounted: Counter[str] = Counter()
    plain: defaultdict[str, float] = defaultdict(float)
    for family in metrics.registry().collect():
        for name, labels, value, *_ in family.samples:
            if name == "http_requests_total":
                requests[labels["status"]] += int(value)
                if labels["status"] == "5xx":
                    failing[f"{labels['method']} {labels['route']}"] += int(value)
            elif name == "http_request_duration_seconds_bucket":
                buckets[float(labels["le"])] += int(value)
            elif name == "rate_limited_requests_total":
                refused[labels["rule"]] += int(value)
            elif name == "rate_limiter_fallbacks_total":
                uncounted[labels["rule"]] += int(value)
            elif not labels:
                plain[name] = value
    bounds = sorted(buckets)
    return {
        "requests": requests,
        "bounds": bounds[:-1],  # seconds; the last one has no end
        "counts": [buckets[bound] for bound in bounds],
        "failing": dict(failing.most_common(WORST)),
        "in_flight": plain["http_requests_in_flight"],
        "refused": refused,
        "uncounted": uncounted,
        "pool": {
            "in_use": plain["database_pool_in_use"],
            "max": plain["database_pool_max"],
            "waited_s": plain["database_pool_wait_seconds_total"],
        },
    }


def jobs(asked: Connection) -> Part:
    queues: dict[str, Part] = {name: {"queue": name} for name in QUEUES}
    for name, status, count, age in asked.execute(backlog.UNFINISHED):
        found = queues.setdefault(name, {"queue": name})
        found[status] = count
        if status == "queued":
            found["oldest_s"] = max(0.0, float(age))
    overdue, overdue_s = asked.execute(backlog.OVERDUE).fetchone() or (0, 0)
    (failed,) = asked.execute(COUNT).fetchone() or (0,)
    names = ("id", "function", "queue", "attempts", "finished_at", "error")
    shown = [dict(zip(names, row, strict=True)) for row in asked.execute(FAILED, (MOST,))]
    return {
        "queues": list(queues.values()),
        "overdue": overdue,
        "overdue_s": float(overdue_s),
        "failed": failed,
        "shown": shown,
    }


def database(asked: Connection) -> Part:
    states: dict[str, int] = dict(asked.execute(vitals.CONNECTIONS).fetchall())
    most, size, *_ = asked.execute(vitals.DATABASE).fetchone() or (0, 0)
    return {
        "connections": sum(states.values()),
        "active": states.get("active", 0),
        "max": most,
        "size": size,
    }


def redis(client: Any) -> Part:
    children = client.smembers("rq:workers")
    with client.pipeline(transaction=False) as pipeline:
        for name in QUEUES:
            pipeline.llen(key_of(name))
        for key in children:
            pipeline.hget(key, "state")
        answers = pipeline.execute()
    states = [state for state in answers[len(QUEUES) :] if state]
    info = client.info("memory")
    return {
        "waiting": dict(zip(QUEUES, answers, strict=False)),
        "children": {"running": len(states), "busy": states.count(b"busy")},
        "processes": presence.processes(client),
        "versions": presence.versions(client),
        "memory": info["used_memory"],
        "memory_max": info["maxmemory"],
    }
