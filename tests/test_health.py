"""Health: what the pages say of each part that is down, to whom, and how long they wait for it."""

import threading
import time
from collections.abc import Iterator
from datetime import datetime
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from redis import Redis

from service import health
from service.app import create_app
from service.devservers import Postgres
from service.health import DEADLINE, Answer, Probe, Status
from service.settings import Settings
from tests.conftest import make_settings
from tests.foreign import of_other_code

SECRET = "a-secret-of-the-url"
NO_DATABASE = f"postgresql://somebody:{SECRET}@127.0.0.1:1/nowhere"
NO_REDIS = f"redis://:{SECRET}@127.0.0.1:1/0"
LIVE, ALL, READY = "/health/live", "/health", "/health/ready"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine does meanwhile, a part that is up is up."""
    monkeypatch.setattr(health, "DEADLINE", 30.0)
    monkeypatch.setattr(health, "CONNECT_TIMEOUT", 30)


def client_of(settings: Settings) -> FlaskClient:
    return create_app(settings).test_client()


@pytest.fixture
def urls(settings: Settings) -> tuple[str, str]:
    """The URLs of the database and of Redis, both up."""
    return settings.database_url.get_secret_value(), settings.redis_url.get_secret_value()


def parts(client: FlaskClient) -> tuple[int, str, dict[str, str]]:
    """The status of /health, its word, and that of each part."""
    response = client.get(ALL)
    checks = {name: check["status"] for name, check in response.json["checks"].items()}
    return response.status_code, response.json["status"], checks


def ready(client: FlaskClient) -> tuple[int, dict[str, str]]:
    response = client.get(READY)
    return response.status_code, response.json


def test_with_nobody_to_run_jobs_the_service_is_degraded_and_ready(settings: Settings) -> None:
    """With a worker and a scheduler it is healthy: tests/test_worker.py."""
    with client_of(settings) as client:
        assert client.get(LIVE).json == {"status": "alive"}
        assert ready(client) == (200, {"status": "ready"})
        up = {"database": "up", "migrations": "up", "redis": "up"}
        nobody = {"worker": "down", "scheduler": "down"}
        assert parts(client) == (200, "degraded", up | nobody)


def test_health_says_when_how_long_and_which_version(settings: Settings) -> None:
    with client_of(settings) as client:
        response = client.get(ALL)
    assert list(response.json) == ["status", "timestamp", "uptime", "version", "checks"]
    assert datetime.fromisoformat(response.json["timestamp"]).utcoffset() is not None
    assert 0 <= response.json["uptime"] < 60
    assert response.json["version"] == settings.commit_sha
    assert response.json["checks"]["database"]["latency_ms"] > 0
    assert response.headers["Cache-Control"] == "no-store"


def test_without_redis_the_service_is_degraded_and_ready(urls: tuple[str, str]) -> None:
    with client_of(make_settings(urls[0], NO_REDIS)) as client:
        status, word, checks = parts(client)
        assert (status, word, checks["redis"]) == (200, "degraded", "down")
        assert ready(client) == (200, {"status": "ready"})


def test_a_redis_that_is_slow_for_a_moment_is_not_down(settings: Settings) -> None:
    url = settings.redis_url.get_secret_value()
    with client_of(settings) as client, Redis.from_url(url) as redis:
        redis.execute_command("CLIENT", "PAUSE", 400)  # milliseconds: a request waits for 150
        assert parts(client)[2]["redis"] == "up"


def test_without_a_database_it_is_unhealthy_and_alive(urls: tuple[str, str]) -> None:
    with client_of(make_settings(NO_DATABASE, urls[1])) as client:
        status, word, checks = parts(client)
        assert (status, word, checks["database"]) == (503, "unhealthy", "down")
        assert ready(client) == (503, {"status": "not ready", "reason": "database down"})
        assert client.get(READY).headers["Retry-After"] == "5"
        assert client.get(LIVE).status_code == 200


def test_with_a_schema_behind_the_code_it_is_degraded_and_not_ready(
    postgres: Postgres, urls: tuple[str, str]
) -> None:
    empty = postgres.create_database(f"health_{uuid4().hex}")
    with client_of(make_settings(empty, urls[1])) as client:
        status, word, checks = parts(client)
        assert (status, word, checks["migrations"]) == (200, "degraded", "behind")
        assert ready(client) == (503, {"status": "not ready", "reason": "schema behind the code"})


def test_with_a_schema_of_another_code_it_is_degraded_and_not_ready(
    postgres: Postgres, urls: tuple[str, str]
) -> None:
    with client_of(make_settings(of_other_code(postgres), urls[1])) as client:
        status, word, checks = parts(client)
        assert (status, word, checks["migrations"]) == (200, "degraded", "diverged")
        reason = "schema diverged from the code"
        assert ready(client) == (503, {"status": "not ready", "reason": reason})


def test_while_it_drains_it_is_alive_and_not_ready(settings: Settings) -> None:
    with client_of(settings) as client:
        health.draining.set()
        try:
            assert ready(client) == (503, {"status": "not ready", "reason": "draining"})
            assert client.get(LIVE).status_code == 200
        finally:
            health.draining.clear()
        assert ready(client)[0] == 200


@pytest.mark.parametrize("path", [LIVE, ALL, READY])
def test_no_page_tells_addresses_or_secrets(path: str) -> None:
    with client_of(make_settings(NO_DATABASE, NO_REDIS)) as client:
        text = client.get(path).text
    for told in (SECRET, "somebody", "127.0.0.1", "nowhere", "Error"):
        assert told not in text


class Part:
    """A part that answers when it is told to, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = threading.Event()
        self.probe = Probe("part", self._ask)

    def _ask(self) -> Status:
        self.asked += 1
        self.may_answer.wait(30)
        return "up"

    def look(self, seconds: float) -> Answer:
        self.probe.begin()
        return self.probe.answer(time.monotonic() + seconds)

    def end(self) -> None:
        self.may_answer.set()
        self.look(10)


@pytest.fixture
def part() -> Iterator[Part]:
    made = Part()
    yield made
    made.end()


def test_a_part_that_does_not_answer_in_time_is_down_until_it_does(part: Part) -> None:
    assert part.look(0.05).status == "down"
    part.may_answer.set()
    assert part.look(10).status == "up"


def test_a_part_is_asked_one_question_at_a_time(
    part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "FRESH", 60.0)
    threads = [threading.Thread(target=part.look, args=(10,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert part.look(0.05).status == "down"
    part.may_answer.set()
    for thread in threads:
        thread.join()
    assert part.asked == 1


def test_a_fresh_answer_is_used_again(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FRESH", 60.0)
    part.may_answer.set()
    assert part.look(10) is part.look(10)
    assert part.asked == 1


def test_an_answer_may_be_waited_for_while_the_next_question_begins(
    part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that has not been started yet cannot be joined, which was a 500."""
    part.may_answer.set()
    assert part.look(10).status == "up"
    time.sleep(health.FRESH)
    begins, may_start = threading.Event(), threading.Event()
    asking, start = threading.Thread(target=part.probe.begin), threading.Thread.start

    def start_late(thread: threading.Thread) -> None:
        if thread is not asking:
            begins.set()
            may_start.wait(10)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_late)
    asking.start()
    begins.wait(10)
    assert part.probe.answer(time.monotonic() + 0.05).status == "up"
    may_start.set()
    asking.join()


def test_parts_that_hang_are_waited_for_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "DEADLINE", DEADLINE)
    hanging = {name: Part() for name in ("database", "migrations", "redis")}
    found = health.Health({name: part.probe for name, part in hanging.items()})
    waits = []
    for _ in range(3):  # of which the quickest counts: another process may have had the CPU
        start = time.monotonic()
        status, answers = found.report()
        waits.append(time.monotonic() - start)
        assert (status, len(answers)) == ("unhealthy", 3)
    assert min(waits) < 2  # the promise of the pages
    for part in hanging.values():
        part.end()
