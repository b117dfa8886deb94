"""The outbox: a job is there if its data is, runs as often as it has attempts, and is kept."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from flask import Flask
from rq import Queue
from sqlalchemy import Connection, event, func, select, text, update

from service import claims, db, handover
from service.app import create_app
from service.attempt import Interrupted, perform
from service.db import insert, session
from service.devservers import Postgres, Redis
from service.errors import Conflict
from service.handover import HandOver, key_of
from service.outbox import FAILED, QUEUED, RETRYING, RUNNING, SUCCEEDED, Job, enqueue
from service.queue import PAYLOAD_LIMIT, Unfit, job
from service.users.models import User
from tests.conftest import make_settings
from tests.logged import logged
from tests.people import Person
from tests.serving import own_database
from tests.waiting import until
from tests.working import claim, own_app, work
from tests.working import job as job_of


@job(attempts=2)
def add_user(email: str) -> dict[str, str]:
    insert(User, email=email, password_hash="")
    return {"email": email}


@job(attempts=2)
def fail(words: str) -> None:
    insert(User, email="half@example.com", password_hash="")
    raise RuntimeError(words)


@job(attempts=2)
def refuse() -> None:
    raise Conflict("There are no posts to export.")


@job()
def give_back_too_much() -> str:
    insert(User, email="half@example.com", password_hash="")
    return "x" * PAYLOAD_LIMIT


@job()
def give_back_an_object() -> object:
    return object()


@job()
def be_interrupted() -> None:
    insert(User, email="half@example.com", password_hash="")
    raise Interrupted("the worker had to stop")


@job()
def tell_progress() -> None:
    claims.report_progress(40)
    raise RuntimeError("after that")


@job()
def exit_the_process() -> None:
    raise SystemExit(3)


def enqueued(app: Flask, function: Any, *args: Any, **options: Any) -> UUID:
    with app.app_context():
        id = enqueue(session, function, *args, **options)
        session.commit()
        return id


def emails(app: Flask) -> set[str]:
    with app.app_context():
        return set(session.scalars(select(User.email)))


def test_a_job_runs_and_its_result_is_kept(app: Flask) -> None:
    id = enqueued(app, add_user, "dora@example.com")
    before = job_of(app, id)
    assert (before.status, before.attempts, before.max_attempts) == (QUEUED, 0, 2)
    assert work(app) == 1
    after = job_of(app, id)
    assert (after.status, after.attempts, after.worker) == (SUCCEEDED, 1, None)
    assert after.result == '{"email":"dora@example.com"}'
    assert after.finished_at is not None
    assert emails(app) == {"dora@example.com"}


def test_a_job_of_a_transaction_that_was_rolled_back_is_not_there(app: Flask) -> None:
    with app.app_context():
        enqueue(session, add_user, "dora@example.com")
        session.rollback()
        enqueue(session, add_user, "dora@example.com")
    with app.app_context():
        assert session.scalar(select(func.count()).select_from(Job)) == 0


def test_what_cannot_be_kept_is_refused_where_it_is_wanted(app: Flask) -> None:
    with app.app_context():
        for function, argument in ((add_user, object()), (add_user, "x" * 70_000), (len, "x")):
            with pytest.raises(Unfit):
                enqueue(session, function, argument)
        assert session.scalar(select(func.count()).select_from(Job)) == 0


def test_a_job_that_is_handed_over_twice_runs_once(app: Flask) -> None:
    id = enqueued(app, add_user, "dora@example.com")
    assert claim(app, id) is not None
    assert claim(app, id, "another") is None
    assert claim(app, uuid4()) is None


def test_a_job_that_has_ended_is_not_run_again(app: Flask) -> None:
    id = enqueued(app, add_user, "dora@example.com")
    work(app)
    assert claim(app, id) is None


def test_a_job_that_fails_is_tried_again_and_its_effect_is_undone(app: Flask) -> None:
    id = enqueued(app, fail, "boom")
    work(app)
    waiting = job_of(app, id)
    assert (waiting.status, waiting.attempts) == (RETRYING, 1)
    assert waiting.error == "RuntimeError: boom"
    assert emails(app) == set()
    assert work(app) == 0  # not before its time


def test_after_its_attempts_it_has_failed_for_good(app: Flask) -> None:
    id = enqueued(app, fail, "boom at postgresql://me:secret@h/d")
    for _ in range(2):
        requeue(app, id)
        work(app)
    failed = job_of(app, id)
    assert (failed.status, failed.attempts) == (FAILED, 2)
    assert failed.error == "RuntimeError: boom at postgresql://me:***@h/d"
    assert (failed.detail, failed.finished_at is not None) == (None, True)


def requeue(app: Flask, id: UUID) -> None:
    """As the relay does when the pause is over."""
    with app.app_context():
        session.execute(update(Job).where(Job.id == id).values(status=QUEUED))
        session.commit()


def test_what_the_owner_may_know_of_a_failure_is_kept_apart(app: Flask) -> None:
    id = enqueued(app, refuse)
    work(app)
    assert job_of(app, id).detail == "There are no posts to export."


@pytest.mark.parametrize("function", [give_back_too_much, give_back_an_object])
def test_a_result_that_cannot_be_kept_fails_at_once(app: Flask, function: Any) -> None:
    id = enqueued(app, function)
    work(app)
    failed = job_of(app, id)
    assert (failed.status, failed.attempts) == (FAILED, 1)
    assert failed.error is not None and failed.error.startswith("Unfit: ")
    assert emails(app) == set()


def test_an_interrupted_job_goes_back_and_loses_no_attempt(app: Flask) -> None:
    id = enqueued(app, be_interrupted)
    found = claim(app, id)
    assert found is not None
    with pytest.raises(Interrupted):
        perform(app, found)
    back = job_of(app, id)
    assert (back.status, back.attempts, emails(app)) == (RETRYING, 0, set())


def test_a_job_does_not_end_its_worker(app: Flask) -> None:
    id = enqueued(app, exit_the_process)
    work(app)
    assert job_of(app, id).error == "SystemExit: 3"


def test_progress_stays_though_the_job_fails(app: Flask) -> None:
    id = enqueued(app, tell_progress)
    work(app)
    assert (job_of(app, id).progress, job_of(app, id).status) == (40, RETRYING)
    with app.app_context():
        claims.report_progress(50)  # outside of a job it means nothing
    assert job_of(app, id).progress == 40


def test_who_lost_the_lease_has_no_effect(app: Flask) -> None:
    id = enqueued(app, add_user, "dora@example.com")
    slow = claim(app, id, "slow")
    assert slow is not None
    requeue(app, id)
    quick = claim(app, id, "quick")
    assert quick is not None
    perform(app, slow)
    assert (emails(app), job_of(app, id).status) == (set(), RUNNING)
    perform(app, quick)
    assert (emails(app), job_of(app, id).status) == ({"dora@example.com"}, SUCCEEDED)
    with app.app_context(), db.apart() as connection:
        assert claims.fail(connection, slow, RuntimeError("late")) is None
        assert not claims.give_back(connection, slow, RuntimeError("late"))
    assert job_of(app, id).status == SUCCEEDED


def test_an_unknown_function_is_kept_for_a_worker_that_knows_it(app: Flask) -> None:
    id = enqueued(app, refuse)
    with app.app_context():
        session.execute(update(Job).values(function="posts.jobs.gone"))
        session.commit()
    work(app)
    kept = job_of(app, id)
    assert (kept.status, kept.attempts) == (RETRYING, 0)
    assert kept.error == "UnknownFunction: the code has no job posts.jobs.gone"
    assert kept.due_at - datetime.now(UTC) > timedelta(seconds=50)


def test_an_unknown_function_that_nobody_takes_for_an_hour_has_failed(app: Flask) -> None:
    id = enqueued(app, refuse)
    with app.app_context():
        changes = {"function": "posts.jobs.gone", "created_at": func.now() - timedelta(hours=2)}
        session.execute(update(Job).values(changes))
        session.commit()
    work(app)
    assert job_of(app, id).status == RETRYING  # it was never refused before
    for minutes, status in ((59, RETRYING), (61, FAILED)):
        with app.app_context():
            refused = func.now() - timedelta(minutes=minutes)
            session.execute(update(Job).values(status=QUEUED, refused_at=refused))
            session.commit()
        work(app)
        assert job_of(app, id).status == status


def test_only_refusals_in_a_row_make_an_hour(app: Flask) -> None:
    """A release is rolled back while a job waits that an older worker had refused a day ago."""
    id = enqueued(app, refuse)
    with app.app_context():
        session.execute(update(Job).values(refused_at=func.now() - timedelta(days=1)))
        session.commit()
    work(app)
    assert (job_of(app, id).status, job_of(app, id).refused_at) == (RETRYING, None)


@job(attempts=2)
def take_a_number(number: int) -> None: ...


@pytest.mark.parametrize("arguments", ['[[1],{"newer":2}]', '[["one"],{}]', "[[],{}]"])
def test_arguments_of_another_release_are_kept_for_its_worker(app: Flask, arguments: str) -> None:
    id = enqueued(app, take_a_number, 1)
    with app.app_context():
        session.execute(update(Job).values(arguments=arguments))
        session.commit()
    work(app)
    kept = job_of(app, id)
    assert (kept.status, kept.attempts) == (RETRYING, 0)
    assert kept.error is not None and kept.error.startswith("OtherArguments: ")
    assert kept.due_at - datetime.now(UTC) > timedelta(seconds=50)


@job(attempts=1)
def break_a_constraint(email: str) -> None:
    for _ in range(2):
        insert(User, email=email, password_hash="")


@job(attempts=1)
def say_something_odd() -> None:
    raise RuntimeError("a NUL \0, half of a pair \ud800\nand a line")


def test_an_error_holds_nothing_of_the_data_and_can_be_kept(
    app: Flask, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = enqueued(app, break_a_constraint, "secret.person@example.com")
    odd = enqueued(app, say_something_odd)
    work(app)
    error = job_of(app, broken).error
    assert error is not None and error.startswith("IntegrityError: duplicate key value violates")
    assert "secret.person" not in error + capfd.readouterr().out
    assert job_of(app, odd).error == "RuntimeError: a NUL , half of a pair ? and a line"


@pytest.mark.parametrize("delay", [5, timedelta(seconds=-1)])
def test_a_delay_that_is_none_is_refused(app: Flask, delay: Any) -> None:
    with app.app_context(), pytest.raises(Unfit, match="the delay is a timedelta from 0 on"):
        enqueue(session, refuse, delay=delay)


def test_a_delayed_job_does_not_wait_before_its_time(app: Flask) -> None:
    id = enqueued(app, refuse, delay=timedelta(hours=2))
    assert job_of(app, id).queued_at > datetime.now(UTC) + timedelta(hours=1)


def test_a_job_bears_the_id_of_its_request(alice: Person, app: Flask) -> None:
    account = {"email": "dora@example.com", "password": "long enough to be good"}
    alice.client.post("/api/users", json=account, headers={"X-Request-ID": "the-request"})
    with app.app_context():
        assert session.scalars(select(Job.request_id)).one() == "the-request"


# What follows needs transactions that really commit, and a Redis of its own.


@pytest.fixture(scope="module")
def committing(postgres: Postgres, redis_server: Redis) -> Iterator[Flask]:
    with own_app(postgres, redis_server, 1) as made:
        yield made


def waiting(app: Flask, name: str = "default") -> list[str]:
    """The ids that RQ would hand to a worker."""
    return Queue(name, connection=app.extensions["redis"]).get_job_ids()


@pytest.fixture(autouse=True)
def _empty_queues(redis_server: Redis) -> None:
    with redis.Redis.from_url(f"{redis_server.url[:-1]}1") as client:
        client.flushdb()


def test_a_committed_job_is_handed_to_rq_at_once(committing: Flask) -> None:
    id = enqueued(committing, refuse)
    until(lambda: waiting(committing) == [str(id)])
    assert key_of("default") == Queue("default", connection=committing.extensions["redis"]).key


def test_a_job_is_not_handed_over_before_the_commit(committing: Flask) -> None:
    with committing.app_context():
        enqueue(session, refuse)
        first = enqueue(session, refuse)
        session.rollback()
        last = enqueue(session, refuse)
        session.commit()
    until(lambda: waiting(committing))
    assert waiting(committing) == [str(last)] != [str(first)]


def test_a_job_without_a_delay_is_handed_over_though_it_says_so(committing: Flask) -> None:
    id = enqueued(committing, refuse, delay=timedelta(0))
    until(lambda: waiting(committing) == [str(id)])


def test_a_delayed_job_is_left_to_the_relay(committing: Flask) -> None:
    delayed = enqueued(committing, refuse, delay=timedelta(hours=1))
    id = enqueued(committing, refuse)
    until(lambda: waiting(committing))
    assert waiting(committing) == [str(id)]
    assert job_of(committing, delayed).due_at - datetime.now(UTC) > timedelta(minutes=59)


def test_a_request_with_an_idempotency_key_has_its_job_once(committing: Flask) -> None:
    client, email = committing.test_client(), f"{uuid4()}@example.com"
    account = {"email": email, "password": "long enough to be good"}
    client.post("/api/users", json=account)
    token = client.post("/api/auth/login", json=account).get_json()["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "one"}
    until(lambda: len(waiting(committing, "high")) == 1)
    body = account | {"email": f"{uuid4()}@example.com"}
    answers = [client.post("/api/users", json=body, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    until(lambda: len(waiting(committing, "high")) == 2)


def test_redis_that_is_down_costs_the_request_nothing_but_a_warning(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "FLUSH_WITHIN", 60)
    app = create_app(make_settings(own_database(postgres), "redis://127.0.0.1:1/0"))
    with logged(handover) as events:
        ids = [enqueued(app, refuse) for _ in range(3)]
        app.extensions["handover"].close()
    assert [each["event"] for each in events] == ["jobs are left to the relay"]
    assert {job_of(app, id).status for id in ids} == {QUEUED}
    app.extensions["database"].engine.dispose()


def test_hand_overs_are_in_order_and_finished_at_the_end(
    committing: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "FLUSH_WITHIN", 60)
    hand_over = HandOver(committing.extensions["redis"])
    hand_over.close()  # nothing was begun
    ids = [uuid4() for _ in range(1200)]
    for id in ids:
        hand_over("low", id)
    hand_over.close()
    assert waiting(committing, "low") == [str(id) for id in ids]


def test_the_effect_and_the_success_are_one_transaction(committing: Flask) -> None:
    """The connection ends at the very last moment, when the job has done all it does."""
    later = timedelta(hours=1)  # nor is it handed over, in another thread and another test
    id = enqueued(committing, add_user, email := f"{uuid4()}@example.com", delay=later)
    found = claim(committing, id)
    assert found is not None

    def cut(connection: Connection) -> None:
        assert connection.scalar(select(Job.status).where(Job.id == id)) == SUCCEEDED
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    event.listen(committing.extensions["database"].engine, "commit", cut, once=True)
    perform(committing, found)
    failed = job_of(committing, id)
    assert (failed.status, email in emails(committing)) == (RETRYING, False)
