"""What is done once, though two may try."""

import threading
from datetime import timedelta

import psycopg
import pytest
from flask import Flask
from sqlalchemy import func, select, update

from service.app import create_app
from service.db import session
from service.devservers import Postgres
from service.effects import KEPT, Effect, once, remove_old_effects
from service.idempotency import IdempotencyKey, remove_expired_keys
from service.jobs import remove_old_jobs
from service.outbox import FAILED, SUCCEEDED, Job, enqueue
from tests.conftest import make_settings
from tests.people import Person
from tests.serving import own_database
from tests.waiting import held_up, until


def test_the_first_time_is_the_only_one(app: Flask) -> None:
    with app.app_context():
        assert [once(session, "a"), once(session, "a"), once(session, "b")] == [True, False, True]
        session.commit()
        assert not once(session, "a")


def test_what_is_rolled_back_was_not_done(app: Flask) -> None:
    with app.app_context():
        assert once(session, "a")
        session.rollback()
        assert once(session, "a")


@pytest.mark.parametrize("committed", [True, False])
def test_a_second_one_waits_for_the_first(postgres: Postgres, committed: bool) -> None:
    url = own_database(postgres)
    app, answers = create_app(make_settings(url, "redis://h/0")), []

    def second() -> None:
        with app.app_context():
            answers.append(once(session, "a"))
            session.commit()

    with app.app_context(), psycopg.connect(url, autocommit=True) as looking:
        assert once(session, "a")
        thread = threading.Thread(target=second)
        thread.start()
        until(lambda: held_up(looking))
        assert answers == []
        session.commit() if committed else session.rollback()
        thread.join(10)
    assert answers == [not committed]
    app.extensions["database"].engine.dispose()


def test_old_effects_are_forgotten(app: Flask) -> None:
    with app.app_context():
        once(session, "old")
        session.execute(update(Effect).values(created_at=func.now() - KEPT - timedelta(days=1)))
        once(session, "new")
        remove_old_effects()
        assert session.scalars(select(Effect.key)).all() == ["new"]


def test_expired_idempotency_keys_are_forgotten(alice: Person, app: Flask) -> None:
    for key in ("old", "new"):
        alice.post("/things", json={"name": "x"}, headers={"Idempotency-Key": key})
    old = IdempotencyKey.key == "old"
    with app.app_context():
        past = func.now() - timedelta(hours=25)
        session.execute(update(IdempotencyKey).where(old).values(created_at=past))
        remove_expired_keys()
        assert session.scalars(select(IdempotencyKey.key)).all() == ["new"]


def test_old_jobs_are_forgotten_unless_they_have_failed(app: Flask) -> None:
    with app.app_context():
        for status, age in ((SUCCEEDED, 8), (SUCCEEDED, 6), (FAILED, 80)):
            id = enqueue(session, remove_old_jobs)
            ended = {"status": status, "finished_at": func.now() - timedelta(days=age)}
            session.execute(update(Job).where(Job.id == id).values(ended))
        remove_old_jobs()
        left = session.execute(select(Job.status, func.count()).group_by(Job.status)).all()
        assert dict(map(tuple, left)) == {SUCCEEDED: 1, FAILED: 1}
