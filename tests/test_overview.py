"""What /ops is told: each part by itself, and why one cannot be had."""

import re
import socket
import time
from typing import Any

import psycopg
import pytest
import redis
from pydantic import SecretStr

from service import health, overview, presence, vitals
from service.app import create_app
from service.devservers import Postgres, Redis
from service.environment import project
from service.health import DEADLINE
from service.presence import Presence
from service.settings import Settings
from service.vitals import LIMIT
from tests.children import Logs
from tests.conftest import make_settings
from tests.serving import Served, own_database, variables
from tests.waiting import held_up, until

TOKEN = "a token of the tests, long enough for production"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
SECRET = "a-secret-of-the-url"
NO_DATABASE = f"postgresql://somebody:{SECRET}@127.0.0.1:1/nowhere"
NO_REDIS = f"redis://:{SECRET}@127.0.0.1:1/0"
PARTS = ("traffic", "jobs", "database", "redis")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine does meanwhile, what is up is up."""
    monkeypatch.setattr(health, "DEADLINE", 30.0)
    monkeypatch.setattr(vitals, "PATIENCE", 30.0)
    monkeypatch.setattr(vitals, "LIMIT", 30.0)


def state(database: str, redis_url: str) -> dict[str, Any]:
    app = create_app(make_settings(database, redis_url, ops_token=SecretStr(TOKEN)))
    client = app.test_client()
    client.get("/nothing")
    answer = client.get("/ops/state.json", headers=BEARER)
    assert (answer.status_code, SECRET in answer.text) == (200, False)
    found: dict[str, Any] = answer.json
    return found


@pytest.fixture
def urls(settings: Settings) -> tuple[str, str]:
    return settings.database_url.get_secret_value(), settings.redis_url.get_secret_value()


def missing(found: dict[str, Any]) -> dict[str, str]:
    return {part: found[part]["error"] for part in PARTS if "error" in found[part]}


def test_everything_is_told_where_everything_is_up(urls: tuple[str, str]) -> None:
    found = state(*urls)
    assert missing(found) == {}
    assert (found["name"], found["environment"]) == (project()[0], "test")
    assert set(found["checks"]) == {"database", "migrations", "redis", "worker", "scheduler"}
    traffic = found["traffic"]
    assert traffic["requests"]["4xx"] >= 1
    assert len(traffic["counts"]) == len(traffic["bounds"]) + 1
    assert traffic["counts"][-1] == sum(traffic["requests"].values())
    assert {each["queue"] for each in found["jobs"]["queues"]} == {"high", "default", "low"}
    assert found["database"]["max"] >= found["database"]["connections"] >= 1
    assert found["redis"]["memory"] > 0


def test_without_redis_the_rest_is_told(urls: tuple[str, str]) -> None:
    found = state(urls[0], NO_REDIS)
    assert (found["status"], found["checks"]["redis"]["status"]) == ("degraded", "down")
    assert list(missing(found)) == ["redis"]
    assert "refused" in missing(found)["redis"]


def test_without_a_database_the_rest_is_told(urls: tuple[str, str]) -> None:
    found = state(NO_DATABASE, urls[1])
    assert (found["status"], found["checks"]["database"]["status"]) == ("unhealthy", "down")
    assert list(missing(found)) == ["jobs", "database"]
    assert "refused" in missing(found)["jobs"]


def test_without_both_the_traffic_is_told(urls: tuple[str, str]) -> None:
    assert list(missing(state(NO_DATABASE, NO_REDIS))) == ["jobs", "database", "redis"]


def test_what_hangs_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes connections, and says nothing."""
    monkeypatch.setattr(health, "DEADLINE", DEADLINE)
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        at = f"127.0.0.1:{silent.getsockname()[1]}"
        found = state(f"postgresql://{at}/x", f"redis://{at}/0")
    assert list(missing(found)) == ["jobs", "database", "redis"]
    assert time.monotonic() - began < 5
    assert re.search("no answer within 1.5 s|timeout", missing(found)["jobs"])


def test_routes_that_fail_are_named(urls: tuple[str, str]) -> None:
    app = create_app(make_settings(*urls, ops_token=SecretStr(TOKEN)))
    app.add_url_rule("/broken/<int:id>", view_func=lambda id: 1 / 0)
    client = app.test_client()
    for _ in range(50):  # more often than any other of this process: the worst five are told
        client.get("/broken/7")
    traffic = client.get("/ops/state.json", headers=BEARER).json["traffic"]
    assert traffic["failing"]["GET /broken/<int:id>"] == 50
    assert traffic["requests"]["5xx"] >= 50


def test_a_database_without_tables_hides_no_more_than_the_jobs(
    urls: tuple[str, str], postgres: Postgres
) -> None:
    found = state(postgres.create_database("without_tables"), urls[1])
    assert list(missing(found)) == ["jobs"]
    assert "jobs" in missing(found)["jobs"]


def test_a_question_that_takes_long_is_cancelled_and_hides_no_other(
    urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vitals, "LIMIT", LIMIT)
    with psycopg.connect(urls[0].replace("+psycopg", "")) as other:
        other.execute("LOCK TABLE jobs")
        found = state(*urls)
        assert held_up(other) == 0  # nobody goes on asking
    assert list(missing(found)) == ["jobs"]
    assert "statement timeout" in missing(found)["jobs"]


def test_the_last_jobs_that_failed_are_found_by_their_index(urls: tuple[str, str]) -> None:
    with psycopg.connect(urls[0].replace("+psycopg", "")) as asked:
        asked.execute("SET enable_seqscan = off")
        plan = asked.execute(f"EXPLAIN {overview.FAILED % 50}").fetchall()
    assert any("ix_jobs_failed_at" in line for (line,) in plan), plan
    assert not any("Sort" in line for (line,) in plan), plan


def test_the_page_s_own_requests_count_for_nothing(urls: tuple[str, str]) -> None:
    first, second = (state(*urls)["traffic"] for _ in range(2))
    assert sum(second["requests"].values()) - sum(first["requests"].values()) == 1  # of /nothing


def told(web: Served) -> dict[str, Any]:
    """What Redis says, if it does."""
    found: dict[str, Any] = web.request("GET", "/ops/state.json", headers=BEARER).json()["redis"]
    return {} if "error" in found else found


def test_each_process_with_a_token_says_that_it_runs_and_in_which_version(
    postgres: Postgres, redis_server: Redis
) -> None:
    urls = own_database(postgres), f"{redis_server.url[:-1]}5"
    silent = variables(*urls) | {"WORKER_CONCURRENCY": "1", "COMMIT_SHA": "silent"}
    given = silent | {"OPS_TOKEN": TOKEN, "COMMIT_SHA": "abc123"}
    worker, scheduler = ["-m", "service", "worker"], ["-m", "service", "scheduler"]
    with redis.Redis.from_url(urls[1]) as client:
        client.flushdb()
        with (
            Logs(worker, silent, "worker started"),
            Logs(worker, given, "worker started"),
            Logs(scheduler, given, "scheduler started"),
            Served(*urls, OPS_TOKEN=TOKEN, COMMIT_SHA="abc123") as web,
        ):
            until(lambda: len(presence.processes(client)) == 4 and client.scard("rq:workers") == 2)
            found = until(lambda: told(web))
    kinds = ["scheduler", "web", "web", "worker"]
    assert [each["kind"] for each in found["processes"]] == kinds
    assert {each["version"] for each in found["processes"]} == {"abc123"}
    assert len({each["pid"] for each in found["processes"]}) == 4
    assert [each["version"] for each in found["versions"]] == ["abc123"]
    assert found["children"]["running"] == 2


def test_a_version_is_seen_first_and_last(redis_server: Redis) -> None:
    """After a rollback the old one is seen last; the newer one's last time is when it went."""
    with redis.Redis.from_url(f"{redis_server.url[:-1]}6") as client:
        client.flushdb()
        for version in ("one", "two", "one"):
            with client.pipeline() as pipeline:
                presence.announce(pipeline, Presence("web", "host", 1, version, 0.0))
                pipeline.execute()
            time.sleep(0.01)
        two, one = presence.versions(client)
        assert (two["version"], one["version"]) == ("two", "one")
        assert one["first"] < two["first"] == two["last"] < one["last"]


def test_old_versions_and_silent_processes_are_forgotten(redis_server: Redis) -> None:
    with redis.Redis.from_url(f"{redis_server.url[:-1]}7") as client:
        client.flushdb()
        client.zadd(presence.PROCESSES, {b'["web","gone",1,"old",0.0]': time.time() - 60})
        for number in range(presence.KEPT + 5):
            with client.pipeline() as pipeline:
                presence.announce(pipeline, Presence("web", "host", 1, f"v{number}", 0.0))
                pipeline.execute()
        assert len(presence.versions(client)) == presence.KEPT
        assert "gone" not in {each["host"] for each in presence.processes(client)}
