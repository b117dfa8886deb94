"""Rate limits while Redis answers: who is counted, how exactly, and what the client is told."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app

from service import tokens
from service.app import create_app
from service.devservers import Postgres, Redis
from service.limits import Counters
from service.variables import Rate
from tests.conftest import make_settings
from tests.counted import counting
from tests.serving import Served, own_database
from tests.waiting import until

# A request is counted before its route is looked for, so these need no database.
NOWHERE = "/api/nowhere"
NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"

MakeClient = Callable[..., FlaskClient]


@pytest.fixture(scope="module")
def own_redis(folder: Path) -> Iterator[Redis]:
    with Redis(folder / "limits") as server:
        yield server


@pytest.fixture
def make_client(own_redis: Redis) -> MakeClient:
    """Makes a client of an app with these settings and a Redis that has counted nothing."""
    with redis.Redis.from_url(own_redis.url) as connection:
        connection.flushall()

    def make(default: str = "3 per minute", **changes: Any) -> FlaskClient:
        changes = {"rate_limit_default": default} | changes
        return counting(create_app(make_settings(NO_DATABASE, own_redis.url, **changes)))

    return make


def ask(client: FlaskClient, address: str = "192.0.2.1", **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get(NOWHERE, headers=named, environ_base={"REMOTE_ADDR": address})


def sign_in(client: FlaskClient, address: str = "192.0.2.1", **headers: str) -> TestResponse:
    base = {"REMOTE_ADDR": address}
    return client.post("/api/auth/login", headers=headers, environ_base=base)


def bearer(app: Flask) -> str:
    with app.app_context():
        return f"Bearer {tokens.issue(uuid4(), 0)[0]}"


def test_each_response_says_what_is_left(make_client: MakeClient) -> None:
    client = make_client("3 per minute")
    answers = [ask(client) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [404, 404, 404, 429]
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    for answer in answers:
        assert answer.headers["RateLimit-Limit"] == "3"
        assert answer.headers["RateLimit-Policy"] == "3;w=60"
        assert 50 < int(answer.headers["RateLimit-Reset"]) <= 60


def test_who_is_refused_is_told_when_to_come_back(make_client: MakeClient) -> None:
    client = make_client("1 per minute")
    assert "Retry-After" not in ask(client).headers
    refused = ask(client)
    assert (refused.status_code, refused.mimetype) == (429, "application/problem+json")
    assert refused.headers["Retry-After"] == refused.headers["RateLimit-Reset"]
    assert refused.get_json()["title"] == "Too Many Requests"


def test_a_window_begins_anew_when_it_ends(make_client: MakeClient) -> None:
    client = make_client("1 per 3 seconds")
    assert [ask(client).status_code for _ in range(2)] == [404, 429]
    until(lambda: ask(client).status_code == 404, seconds=10)


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1:2:3", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
def test_a_client_is_an_address_or_a_64_of_ipv6(
    make_client: MakeClient, one: str, other: str, are_one: bool
) -> None:
    client = make_client("1 per minute")
    assert ask(client, one).status_code == 404
    assert ask(client, other).status_code == (429 if are_one else 404)


def test_who_is_signed_in_is_counted_wherever_they_are(make_client: MakeClient) -> None:
    client = make_client("1 per minute")
    alice, bob = bearer(client.application), bearer(client.application)
    assert ask(client, "192.0.2.1", Authorization=alice).status_code == 404
    assert ask(client, "192.0.2.2", Authorization=alice).status_code == 429
    assert ask(client, "192.0.2.1", Authorization=bob).status_code == 404
    assert ask(client, "192.0.2.1").status_code == 404


def test_a_forged_token_gives_no_window_of_its_own(make_client: MakeClient) -> None:
    client = make_client("1 per minute")
    assert ask(client, Authorization=f"Bearer {uuid4()}").status_code == 404
    assert ask(client, Authorization=f"Bearer {uuid4()}").status_code == 429


@pytest.mark.parametrize(
    ("hops", "one", "other", "are_one"),
    [
        (0, "198.51.100.1", "198.51.100.2", True),
        (1, "198.51.100.1", "198.51.100.2", False),
        (1, "198.51.100.1", "198.51.100.1", True),
        (1, "203.0.113.1, 198.51.100.1", "203.0.113.2, 198.51.100.1", True),
        (2, "198.51.100.1, 10.0.0.1", "198.51.100.2, 10.0.0.1", False),
        (2, "198.51.100.1, 10.0.0.1", "198.51.100.1, 10.0.0.2", True),
        (2, "203.0.113.1, 198.51.100.1, 10.0.0.1", "198.51.100.1, 10.0.0.1", True),
        (2, "198.51.100.1", "198.51.100.2", True),
        (1, "198.51.100.1", "::ffff:198.51.100.1", True),
    ],
)
def test_only_as_many_proxies_are_believed_as_there_are(
    make_client: MakeClient, hops: int, one: str, other: str, are_one: bool
) -> None:
    client = make_client("1 per minute", proxy_hops=hops)
    assert ask(client, X_Forwarded_For=one).status_code == 404
    assert ask(client, X_Forwarded_For=other).status_code == (429 if are_one else 404)


def test_sign_in_has_a_limit_of_its_own(make_client: MakeClient) -> None:
    client = make_client("100 per minute", rate_limit_login="5 per hour")
    answers = [sign_in(client) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [415] * 5 + [429]
    assert answers[0].headers["RateLimit-Policy"] == "5;w=3600"
    assert ask(client).headers["RateLimit-Remaining"] == "93"
    assert sign_in(client, "192.0.2.2").status_code == 415


def test_an_account_brings_no_further_attempts_to_sign_in(make_client: MakeClient) -> None:
    client = make_client("100 per minute", rate_limit_login="1 per hour")
    assert sign_in(client, Authorization=bearer(client.application)).status_code == 415
    assert sign_in(client, Authorization=bearer(client.application)).status_code == 429


@pytest.mark.parametrize("path", ["//api/x", "///api/x"])
def test_another_spelling_of_a_path_is_counted_too(make_client: MakeClient, path: str) -> None:
    app = make_client(rate_limit_default="2 per hour").application
    environ = EnvironBuilder("/").get_environ() | {"PATH_INFO": path}
    statuses = [run_wsgi_app(app, environ.copy())[1] for _ in range(3)]
    assert statuses == ["404 NOT FOUND", "404 NOT FOUND", "429 TOO MANY REQUESTS"]


def test_what_is_no_api_is_not_counted(make_client: MakeClient) -> None:
    client = make_client("1 per minute")
    for path in ("/", "/docs", "/openapi.json", "/health/live", "/api"):
        assert [client.get(path).status_code != 429 for _ in range(3)] == [True] * 3
    assert "RateLimit-Limit" not in client.get("/health/live").headers
    assert ask(client).status_code == 404


@pytest.mark.parametrize("command", ["SCRIPT FLUSH", "FLUSHALL"])
def test_a_redis_that_was_emptied_counts_on(
    make_client: MakeClient, own_redis: Redis, command: str
) -> None:
    client = make_client("3 per minute")
    ask(client)
    with redis.Redis.from_url(own_redis.url) as connection:
        connection.execute_command(command)
    remaining = {"SCRIPT FLUSH": "1", "FLUSHALL": "2"}[command]
    assert ask(client).headers["RateLimit-Remaining"] == remaining


def test_a_redis_that_was_restarted_counts_on(make_client: MakeClient, own_redis: Redis) -> None:
    client = make_client("3 per minute")
    ask(client)
    own_redis.restart()
    assert ask(client).headers["RateLimit-Remaining"] == "1"


def hammer(web: Served, requests: int) -> list[tuple[int, bool]]:
    """The status of each, and whether it was counted. Each has a connection of its own."""
    answers = [web.request("GET", NOWHERE) for _ in range(requests)]
    assert {answer.status for answer in answers} <= {404, 429}
    return [(answer.status, "RateLimit-Limit" in answer.headers) for answer in answers]


def workers_that_count(web: Served, redis_port: int) -> int:
    """How many processes of the server have spoken to Redis."""
    hammer(web, 1)
    ports = [
        {each.raddr.port for each in worker.net_connections("tcp") if each.raddr}
        for worker in psutil.Process(web.process.pid).children()
    ]
    return sum(redis_port in each for each in ports)


def test_eight_clients_of_two_processes_get_exactly_the_limit(
    postgres: Postgres, own_redis: Redis
) -> None:
    database_url = own_database(postgres)
    limit = {"WEB_CONCURRENCY": "2", "RATE_LIMIT_DEFAULT": "100 per 15 minutes"}
    with (
        Served(database_url, own_redis.url, **limit) as web,
        redis.Redis.from_url(own_redis.url) as connection,
        ThreadPoolExecutor(8) as clients,
    ):
        until(lambda: workers_that_count(web, own_redis.port) == 2)
        for _ in range(4):  # a process that finds Redis slow lets all pass for a moment
            until(lambda: all(counted for _, counted in hammer(web, 20)))
            connection.flushall()
            answers = list(chain(*clients.map(lambda _: hammer(web, 25), range(8))))
            if all(counted for _, counted in answers):
                break
    assert [status for status, _ in answers].count(404) == 100


def test_two_processes_that_count_by_themselves_let_too_much_through() -> None:
    rate = Rate(100, 900)
    processes = (Counters(), Counters())
    passed = sum(processes[n % 2].count("client", rate)[0] <= rate.count for n in range(200))
    assert passed == 200
