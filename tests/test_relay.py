"""The relay: what was not handed over, what Redis has lost, what is due, whose worker is gone."""

import itertools
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from flask import Flask
from redis import Redis as Client
from redis import RedisError
from sqlalchemy import func, select, text, update

from service import claims, relay
from service.claims import connection_name
from service.db import session
from service.devservers import Postgres, Redis
from service.handover import key_of, push
from service.outbox import FAILED, QUEUED, RETRYING, RUNNING, Job, enqueue
from service.queue import QUEUES, job
from service.redis import make_client
from tests.conftest import make_settings
from tests.counted import empty, patient
from tests.waiting import until
from tests.working import claim, own_app
from tests.working import job as job_of

AGAIN = timedelta(seconds=20)
NOT_YET = timedelta(hours=1)


@job(attempts=2)
def nothing() -> None: ...


@pytest.fixture(scope="module")
def app(postgres: Postgres, redis_server: Redis) -> Iterator[Flask]:
    with own_app(postgres, redis_server, 2) as made:
        yield made


@pytest.fixture
def client(app: Flask) -> Iterator[Client]:
    empty(app)
    with make_client(app.extensions["settings"]) as opened:
        patient(opened)
        yield opened
    with app.app_context():
        session.execute(text("DELETE FROM jobs"))
        session.commit()


def sweep(app: Flask, client: Client) -> int:
    with app.app_context(), app.extensions["database"].session() as opened:
        return relay.sweep(opened, client, AGAIN)


def waiting(client: Client) -> list[str]:
    return [id.decode() for name in QUEUES for id in client.lrange(key_of(name), 0, -1)]


def a_job(app: Flask, **changes: Any) -> UUID:
    """A job that web did not hand over, and that is due."""
    with app.app_context():
        id = enqueue(session, nothing, delay=NOT_YET)
        due = {"due_at": func.now() - timedelta(seconds=1)}
        session.execute(update(Job).where(Job.id == id).values(due | changes))
        session.commit()
        return id


def test_there_may_be_nothing_to_do(app: Flask, client: Client) -> None:
    assert sweep(app, client) == 0


def test_what_was_not_handed_over_is(app: Flask, client: Client) -> None:
    id = a_job(app)
    assert (sweep(app, client), waiting(client)) == (1, [str(id)])
    assert (sweep(app, client), waiting(client)) == (0, [str(id)])  # looked at, and not due


def test_what_still_waits_in_redis_is_not_handed_over_twice(app: Flask, client: Client) -> None:
    id = a_job(app)
    sweep(app, client)
    make_due(app, id)
    assert (sweep(app, client), waiting(client)) == (1, [str(id)])


def make_due(app: Flask, id: UUID) -> None:
    with app.app_context():
        session.execute(update(Job).where(Job.id == id).values(due_at=func.now()))
        session.commit()


def test_what_redis_has_lost_is_handed_over_again(app: Flask, client: Client) -> None:
    id = a_job(app)
    sweep(app, client)
    empty(app)
    make_due(app, id)
    assert (sweep(app, client), waiting(client)) == (1, [str(id)])


def test_what_is_to_be_tried_again_is_queued_when_its_pause_is_over(
    app: Flask, client: Client
) -> None:
    later = a_job(app, status=RETRYING, due_at=func.now() + NOT_YET)
    now = a_job(app, status=RETRYING, queued_at=func.now() - NOT_YET)
    assert (sweep(app, client), waiting(client)) == (1, [str(now)])
    assert (job_of(app, now).status, job_of(app, later).status) == (QUEUED, RETRYING)
    age = job_of(app, now).due_at - job_of(app, now).queued_at
    assert age < timedelta(minutes=1)  # it waits since now


def test_a_job_whose_lease_has_run_out_has_lost_an_attempt(app: Flask, client: Client) -> None:
    id = a_job(app)
    for status in (RETRYING, FAILED):
        with app.app_context():
            session.execute(update(Job).where(Job.id == id).values(status=QUEUED))
            session.commit()
        assert claim(app, id) is not None
        assert (sweep(app, client), job_of(app, id).status) == (0, RUNNING)
        make_due(app, id)
        assert (sweep(app, client), job_of(app, id).status) == (1, status)
    assert job_of(app, id).error == "WorkerDied: its worker is gone"


def test_what_the_worker_has_open_ends_with_its_lease(app: Flask, client: Client) -> None:
    """Or a frozen one would hold on to its rows, and to the keys of effects."""
    url = app.extensions["settings"].database_url.get_secret_value().replace("+psycopg", "")
    id = a_job(app)
    with psycopg.connect(url, application_name=connection_name("host.1.abcd")) as frozen:
        frozen.execute("SELECT 1")
        assert claim(app, id, "host.1.abcd") is not None
        make_due(app, id)
        sweep(app, client)
        with pytest.raises(psycopg.OperationalError):
            frozen.execute("SELECT 1")


def test_who_froze_just_before_the_commit_does_not_keep_the_job(app: Flask, client: Client) -> None:
    """It holds the row's lock, for as long as its machine is cut off."""
    url = app.extensions["settings"].database_url.get_secret_value().replace("+psycopg", "")
    id = a_job(app)
    assert claim(app, id, "host.1.frozen") is not None
    make_due(app, id)
    with psycopg.connect(url, application_name=connection_name("host.1.frozen")) as frozen:
        frozen.execute("UPDATE jobs SET status = 'succeeded' WHERE id = %s", (id,))

        def is_taken_back() -> bool:
            sweep(app, client)
            return job_of(app, id).status == RETRYING

        until(is_taken_back)
        with pytest.raises(psycopg.OperationalError):
            frozen.commit()


def test_a_success_that_is_not_committed_in_time_is_none(app: Flask) -> None:
    """Also behind PgBouncer, where connections have no name."""
    found = claim(app, a_job(app))
    assert found is not None
    with app.app_context():
        assert claims.succeed(session.connection(), found, None)
        query = text("SHOW idle_in_transaction_session_timeout")
        assert session.execute(query).scalar_one() == "10s"
        session.rollback()
        assert session.execute(query).scalar_one() == "0"


def test_a_sweep_comes_to_an_end_though_all_is_due_again(
    app: Flask, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    id, seconds = a_job(app), itertools.count(step=0.1)
    monkeypatch.setattr(relay, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    with app.app_context():
        assert relay.sweep(session, client, timedelta(0)) > 1
    assert set(waiting(client)) == {str(id)}


def test_of_a_long_backlog_not_all_is_looked_at_each_time(
    app: Flask, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "RECHECKS", 0.01)
    client.rpush("rq:queue:default", str(id := a_job(app)))
    assert sweep(app, client) == 1
    assert job_of(app, id).due_at - datetime.now(UTC) > timedelta(seconds=90)


def test_what_is_no_job_keeps_nobody_from_being_handed_over(app: Flask, client: Client) -> None:
    client.rpush("rq:queue:low", b"\xff")
    id = a_job(app)
    assert sweep(app, client) == 1
    assert client.lrange("rq:queue:default", 0, -1) == [str(id).encode()]


def test_a_lease_ends_though_redis_is_down(app: Flask) -> None:
    nowhere = make_client(make_settings("postgresql://h/d", "redis://127.0.0.1:1/0"))
    waiting, running = a_job(app), a_job(app)
    assert claim(app, running) is not None
    make_due(app, running)
    with pytest.raises(RedisError):
        sweep(app, nowhere)
    assert (job_of(app, running).status, job_of(app, waiting).status) == (RETRYING, QUEUED)
    with app.app_context():
        session.execute(text("DELETE FROM jobs"))
        session.commit()


def test_a_job_of_a_newer_release_loses_one_attempt_and_no_more(app: Flask, client: Client) -> None:
    id = a_job(app, function="posts.jobs.of_tomorrow")
    assert claim(app, id) is not None
    make_due(app, id)
    sweep(app, client)
    assert job_of(app, id).status == RETRYING


def test_a_queue_of_an_older_release_is_emptied_into_the_default_one(
    app: Flask, client: Client
) -> None:
    id = a_job(app, queue="urgent")
    sweep(app, client)
    assert client.lrange(key_of("default"), 0, -1) == [str(id).encode()]


def test_without_redis_nothing_is_changed(app: Flask, client: Client) -> None:
    id = a_job(app)
    nowhere = make_client(make_settings("postgresql://h/d", "redis://127.0.0.1:1/0"))
    with pytest.raises(RedisError):
        sweep(app, nowhere)
    assert (sweep(app, client), waiting(client)) == (1, [str(id)])


ALL_HAVE_LOOKED = threading.Barrier(4)


def naive_sweep(app: Flask, client: Client) -> int:
    """The control: a relay that does not lock what it looks at."""
    with app.app_context(), app.extensions["database"].session() as opened:
        query = select(Job.id, Job.queue).where(Job.due_at <= func.now())
        rows = opened.execute(query).all()
        ALL_HAVE_LOOKED.wait(10)
        push(client, [(row.queue, row.id) for row in rows])
        for id in sorted(row.id for row in rows):  # in one order, or they deadlock as well
            opened.execute(update(Job).where(Job.id == id).values(due_at=func.now() + AGAIN))
        opened.commit()
        return len(rows)


@pytest.mark.parametrize(
    ("relay", "twice"), [(sweep, False), pytest.param(naive_sweep, True, id="the control")]
)
def test_two_relays_hand_over_each_job_once(
    app: Flask, client: Client, relay: Callable[[Flask, Client], int], twice: bool
) -> None:
    ids = {str(a_job(app)) for _ in range(40)}
    start = threading.Barrier(4)

    def run() -> None:
        start.wait(10)
        relay(app, client)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(waiting(client)) == ids
    assert (len(waiting(client)) > len(ids)) == twice
