"""Idempotency keys: one effect and one response, whatever is sent again and when."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from service import tokens
from service.app import create_app
from service.db import session
from service.devservers import Postgres, Redis
from service.idempotency import IdempotencyKey
from service.users.models import User
from tests import things
from tests.conftest import make_settings
from tests.people import PASSWORD, Person
from tests.serving import own_database
from tests.waiting import until

BODY = {"name": "A thing"}


def write(person: Person, key: str, body: object = BODY) -> TestResponse:
    return person.post("/things", json=body, headers={"Idempotency-Key": key})


def count(person: Person) -> int:
    return int(person.get("/things/mine").get_json()["count"])


def test_the_same_request_has_one_effect_and_the_same_response(alice: Person) -> None:
    first, again = write(alice, "one"), write(alice, "one")
    assert (first.status_code, count(alice)) == (201, 1)
    assert (again.status_code, again.data) == (201, first.data)
    for name in ("Location", "Content-Type"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]


def test_another_key_is_another_request(alice: Person) -> None:
    assert write(alice, "one").data != write(alice, "two").data
    assert count(alice) == 2


def test_the_same_key_with_another_body_is_refused(alice: Person) -> None:
    write(alice, "one")
    response = write(alice, "one", {"name": "Another"})
    assert (response.status_code, count(alice)) == (422, 1)


def test_the_same_key_at_another_address_is_refused(alice: Person) -> None:
    write(alice, "one")
    headers = {"Idempotency-Key": "one"}
    assert alice.post("/things?x=1", json=BODY, headers=headers).status_code == 422
    assert alice.post("/api/auth/logout", headers=headers).status_code == 422
    assert alice.get("/api/users/me").status_code == 200


@pytest.mark.parametrize(
    ("key", "status"),
    [
        ("", 400),
        (" ", 400),
        ("two words", 400),
        ("ümlaut", 400),
        ("tab\t.", 400),
        ("x" * 256, 400),
        ("x" * 255, 201),
        ('"quoted"', 201),
        ("!~", 201),
    ],
)
def test_a_key_is_visible_ascii(alice: Person, key: str, status: int) -> None:
    assert write(alice, key).status_code == status
    assert count(alice) == (status == 201)


def test_a_key_is_its_users_own(alice: Person, bob: Person) -> None:
    responses = [write(alice, "one"), write(bob, "one", {"name": "Bob's"})]
    assert [response.status_code for response in responses] == [201, 201]
    assert (count(alice), count(bob)) == (1, 1)


def test_a_key_means_nothing_without_a_token(charlie: FlaskClient) -> None:
    account = {"email": "dora@example.com", "password": PASSWORD}
    headers = {"Idempotency-Key": "one"}
    statuses = [
        charlie.post("/api/users", json=account, headers=headers).status_code for _ in range(2)
    ]
    assert statuses == [201, 409]


def test_a_key_does_not_let_a_bad_token_pass(alice: Person) -> None:
    assert write(alice._replace(token="nonsense"), "one").status_code == 401


def test_a_refused_request_does_not_use_up_its_key(alice: Person) -> None:
    assert write(alice, "one", BODY | {"title": ""}).status_code == 422
    assert write(alice, "one").status_code == 201


def test_an_unavailable_service_does_not_use_up_the_key(alice: Person) -> None:
    headers = {"Idempotency-Key": "one"}
    upload = {"filename": "a", "content_type": "text/plain", "size": 1}
    assert alice.post("/api/uploads", json=upload, headers=headers).status_code == 503
    assert write(alice, "one").status_code == 201


def test_an_access_token_is_not_kept(alice: Person) -> None:
    account = {"email": alice.email, "password": PASSWORD}
    first, second = (
        alice.post("/api/auth/login", json=account, headers={"Idempotency-Key": "one"})
        for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.headers["Cache-Control"] == "no-store"
    with alice.client.application.app_context():
        assert session.scalars(select(IdempotencyKey)).all() == []


def test_the_keys_of_a_user_go_with_the_account(alice: Person) -> None:
    assert alice.post("/api/auth/logout", headers={"Idempotency-Key": "one"}).status_code == 204
    token = alice.client.post(
        "/api/auth/login", json={"email": alice.email, "password": PASSWORD}
    ).get_json()["access_token"]
    with alice.client.application.app_context():
        assert len(session.scalars(select(IdempotencyKey)).all()) == 1
    assert alice._replace(token=token).delete("/api/users/me").status_code == 204
    with alice.client.application.app_context():
        assert session.scalars(select(IdempotencyKey)).all() == []


def test_signing_out_takes_a_key(alice: Person) -> None:
    response = alice.post("/api/auth/logout", headers={"Idempotency-Key": "one"})
    assert (response.status_code, response.data) == (204, b"")
    assert alice.get("/api/users/me").status_code == 401


# What follows needs transactions that really commit, on a database of their own.


@pytest.fixture(scope="module")
def database_url(postgres: Postgres) -> str:
    return own_database(postgres)


@pytest.fixture(scope="module")
def committing(database_url: str, redis_server: Redis) -> Iterator[Flask]:
    app = create_app(make_settings(database_url, redis_server.url))
    things.register(app)
    statuses = iter([503, 201, 202])
    app.add_url_rule("/api/luck", "luck", lambda: Response(status=next(statuses)), methods=["POST"])
    yield app
    app.extensions["database"].engine.dispose()


@pytest.fixture
def dora(committing: Flask, password_hash: str) -> Person:
    """A user whose data is committed."""
    return user_of(committing, password_hash)


def user_of(app: Flask, password_hash: str) -> Person:
    with app.app_context():
        user = User(email=f"{uuid4()}@example.com", password_hash=password_hash)
        session.add(user)
        session.commit()
        token, _ = tokens.issue(user.id, user.token_generation)
        return Person(app.test_client(), user.id, user.email, token)


@contextmanager
def things_locked(url: str) -> Iterator[psycopg.Connection[Any]]:
    """While this lasts every INSERT of a thing waits."""
    with psycopg.connect(url) as locker:
        locker.execute("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE")
        yield locker


def waiting(url: str) -> list[int]:
    """The backends that wait for a lock."""
    with psycopg.connect(url, autocommit=True) as connection:
        query = "SELECT pid FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
        return [pid for (pid,) in connection.execute(query)]


def in_background(call: Callable[[], TestResponse]) -> Future[TestResponse]:
    future: Future[TestResponse] = Future()
    threading.Thread(target=lambda: future.set_result(call())).start()
    return future


def test_while_the_first_request_runs_the_second_is_told_to_wait(
    dora: Person, database_url: str
) -> None:
    with things_locked(database_url):
        first = in_background(lambda: write(dora, "slow"))
        until(lambda: waiting(database_url))
        second = write(dora, "slow")
        assert (second.status_code, second.headers["Retry-After"]) == (409, "1")
        assert not first.done()
    assert first.result(10).status_code == 201
    assert write(dora, "slow").data == first.result().data


def test_a_crash_leaves_neither_the_effect_nor_the_key(dora: Person, database_url: str) -> None:
    with things_locked(database_url) as locker:
        first = in_background(lambda: write(dora, "crash"))
        [pid] = until(lambda: waiting(database_url))
        locker.execute("SELECT pg_terminate_backend(%s)", [pid])
        assert first.result(10).status_code == 503
    assert count(dora) == 0
    assert write(dora, "crash").status_code == 201
    assert count(dora) == 1


def test_a_failure_that_a_view_returns_does_not_use_up_the_key(dora: Person) -> None:
    headers = {"Idempotency-Key": "luck"}
    answers = [dora.post("/api/luck", headers=headers).status_code for _ in range(3)]
    assert answers == [503, 201, 201]


def test_twenty_at_once_have_one_effect(dora: Person) -> None:
    start = threading.Barrier(20)

    def send() -> tuple[str, set[int]]:
        person = dora._replace(client=dora.client.application.test_client())
        start.wait(10)
        statuses = set()
        while (response := write(person, "many")).status_code == 409:
            statuses.add(409)
        return response.text, statuses | {response.status_code}

    with ThreadPoolExecutor(20) as threads:
        answers = [each.result(30) for each in [threads.submit(send) for _ in range(20)]]
    assert len({body for body, _ in answers}) == 1
    assert set.union(*(statuses for _, statuses in answers)) <= {201, 409}
    assert count(dora) == 1


def test_twenty_without_a_key_have_twenty_effects(dora: Person) -> None:
    def send(_: int) -> int:
        person = dora._replace(client=dora.client.application.test_client())
        return person.post("/things", json=BODY).status_code

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(send, range(20))) == {201}
    assert count(dora) == 20


def test_a_request_with_a_key_takes_one_connection(
    database_url: str, redis_server: Redis, password_hash: str
) -> None:
    small = {"database_pool_size": 1, "database_pool_max": 1}
    app = create_app(make_settings(database_url, redis_server.url, **small))
    things.register(app)
    assert write(user_of(app, password_hash), "one").status_code == 201
    app.extensions["database"].engine.dispose()
