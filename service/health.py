"""Health: is the process alive, may it get traffic, and how is each part.

Add a part: a Probe in `init_app`. Probes run in threads of their own with a deadline, so that
these pages answer within 2 s whatever is down, and none of them holds up a request's thread.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import structlog
from flask import Flask, Response
from pydantic_core import to_json

from service import migrations
from service.connections import CONNECT_TIMEOUT, Connection, connect_to
from service.errors import RETRY_AFTER
from service.redis import make_client
from service.settings import Settings

log = structlog.get_logger()

SCHEDULER_LOCK = 0x73636865  # the key of the advisory lock: "sche", the same for all versions
DEADLINE = 1.5  # seconds that a page waits for a probe
FRESH = 1.0  # seconds that an answer is used again

Status = Literal["up", "down", "behind", "diverged"]


class Answer(NamedTuple):
    status: Status
    latency_ms: float | None = None
    reason: str = ""  # for the log; a client is told nothing of addresses and users

    def public(self) -> dict[str, Any]:
        return {"status": self.status, "latency_ms": self.latency_ms}


class Probe:
    """Asks a part how it is, in its own thread, one question at a time."""

    def __init__(self, name: str, ask: Callable[[], Status]) -> None:
        self._name = name
        self._ask = ask
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._answer: Answer | None = None
        self._answered_at = float("-inf")

    def begin(self) -> None:
        """Ask, unless the last answer is FRESH or a question is under way."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return
            if time.monotonic() - self._answered_at >= FRESH:
                thread = threading.Thread(target=self._run, daemon=True)
                thread.start()
                self._thread = thread  # not before: who waits for an answer joins it

    def answer(self, deadline: float) -> Answer:
        """The answer to what was begun; `down` if there is none by then (monotonic seconds)."""
        if (thread := self._thread) is not None:
            thread.join(max(0, deadline - time.monotonic()))
            if thread.is_alive():
                return self._note(Answer("down", reason=f"no answer within {DEADLINE} s"))
        assert self._answer is not None, "begin() first"
        return self._answer

    def _run(self) -> None:
        start = time.perf_counter()
        try:
            status, reason = self._ask(), ""
        except Exception as error:  # whatever is wrong with it: it is down, and we say why
            status, reason = "down", f"{type(error).__name__}: {error}".strip()
        latency = round((time.perf_counter() - start) * 1000, 2)
        self._note(Answer(status, None if status == "down" else latency, reason))
        self._answered_at = time.monotonic()

    def _note(self, answer: Answer) -> Answer:
        before = self._answer.status if self._answer else "up"
        if answer.status != before:
            log.warning("health", part=self._name, status=answer.status, reason=answer.reason)
        self._answer = answer
        return answer


class Health:
    """The parts of an app, and whether its process is about to stop."""

    def __init__(self, probes: dict[str, Probe]) -> None:
        self.probes = probes
        self.started = time.monotonic()

    def report(self) -> tuple[str, dict[str, Answer]]:
        answers = self._ask(*self.probes)
        if answers["database"].status == "down":
            return "unhealthy", answers
        healthy = all(answer.status == "up" for answer in answers.values())
        return "healthy" if healthy else "degraded", answers

    def not_ready(self) -> str | None:
        """Why this process should get no traffic; None if it should."""
        if draining.is_set():
            return "draining"
        answers = self._ask("database", "migrations")
        if answers["database"].status == "down":
            return "database down"
        status = answers["migrations"].status
        if status == "up":
            return None
        return f"schema {'diverged from' if status == 'diverged' else 'behind'} the code"

    def _ask(self, *names: str) -> dict[str, Answer]:
        """The answers of these parts, which are asked at the same time."""
        for name in names:
            self.probes[name].begin()
        deadline = time.monotonic() + DEADLINE
        return {name: self.probes[name].answer(deadline) for name in names}


# Set by SIGTERM: from then on the process is not ready, and finishes what it has begun.
draining = threading.Event()


def ask_database(settings: Settings) -> Status:
    """A connection of its own, as a new request would get one, though the pool may be full."""
    with _connect(settings) as connection:
        connection.execute("SELECT 1")
    return "up"


def ask_migrations(settings: Settings) -> Status:
    """Whether the schema is what the code expects, or newer: after a rollback it may be."""
    with _connect(settings) as connection:
        state = migrations.state(connection)
    return "up" if state == "current" or state == "ahead" else state


def ask_worker(client: Any) -> Status:
    """Whether RQ knows of a worker: each is announced anew every few seconds, and expires."""
    names = client.smembers("rq:workers")
    return "up" if names and client.exists(*names) else "down"


def ask_scheduler(settings: Settings) -> Status:
    """Whether somebody leads, who holds this lock then."""
    with _connect(settings) as connection:
        query = """
            SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
            WHERE locktype = 'advisory' AND objid = %s AND datname = current_database()
        """
        found = connection.execute(query, (SCHEDULER_LOCK,)).fetchone()
    return "up" if found and found[0] else "down"


def _connect(settings: Settings) -> Connection:
    return connect_to(settings.database_url, patience=DEADLINE, connect_timeout=CONNECT_TIMEOUT)


def _json(body: dict[str, Any], ok: bool) -> Response:
    headers = {"Cache-Control": "no-store"} | ({} if ok else {"Retry-After": str(RETRY_AFTER)})
    return Response(to_json(body), 200 if ok else 503, headers, mimetype="application/json")


def init_app(app: Flask, settings: Settings) -> None:
    # A client of its own: a Redis that takes longer than a request waits is slow, and not down.
    client = make_client(settings, socket_connect_timeout=DEADLINE, socket_timeout=DEADLINE)
    health = Health(
        {
            "database": Probe("database", lambda: ask_database(settings)),
            "migrations": Probe("migrations", lambda: ask_migrations(settings)),
            "redis": Probe("redis", lambda: "up" if client.ping() else "down"),
            "worker": Probe("worker", lambda: ask_worker(client)),
            "scheduler": Probe("scheduler", lambda: ask_scheduler(settings)),
        }
    )
    app.extensions["health"] = health

    @app.get("/health")
    def show() -> Response:
        status, answers = health.report()
        body = {
            "status": status,
            "timestamp": datetime.now(UTC),
            "uptime": round(time.monotonic() - health.started, 1),
            "version": settings.commit_sha,
            "checks": {name: answer.public() for name, answer in answers.items()},
        }
        return _json(body, ok=status != "unhealthy")

    @app.get("/health/live")
    def live() -> Response:
        return _json({"status": "alive"}, ok=True)

    @app.get("/health/ready")
    def ready() -> Response:
        reason = health.not_ready()
        body = {"status": "not ready", "reason": reason} if reason else {"status": "ready"}
        return _json(body, ok=reason is None)
