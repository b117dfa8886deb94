"""Recurring jobs: each tick once, however many schedulers there are; what was missed, once."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from service import recurring
from service.app import create_app
from service.db import session
from service.devservers import Postgres, Redis
from service.outbox import Job, enqueue
from service.queue import function_of, job
from service.queue import recurring as all_recurring
from tests.conftest import make_settings
from tests.serving import own_database

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
BEFORE = {function.name for function in all_recurring()}


@job(cron="30 * * * *", queue="low")
def at_half_past() -> None: ...


NAME = function_of(at_half_past).name


@pytest.fixture(scope="module")
def app(postgres: Postgres, redis_server: Redis) -> Iterator[Flask]:
    made = create_app(make_settings(own_database(postgres), redis_server.url))
    yield made
    made.extensions["handover"].close()
    made.extensions["database"].engine.dispose()


@pytest.fixture(autouse=True)
def _nothing_yet(app: Flask) -> None:
    with app.app_context():
        session.execute(text("TRUNCATE jobs, ticks"))
        session.commit()


def tick(app: Flask, now: datetime) -> bool:
    """Whether our job became due."""
    with app.app_context(), app.extensions["database"].session() as opened:
        return NAME in recurring.tick(opened, now)


def count(app: Flask) -> int:
    with app.app_context():
        return len(session.scalars(select(Job.id).where(Job.function == NAME)).all())


def test_the_template_has_recurring_jobs() -> None:
    assert {"idempotency.remove_expired_keys", "jobs.jobs.remove_old_jobs"} <= BEFORE


def test_what_is_seen_for_the_first_time_waits_for_its_next_tick(app: Flask) -> None:
    assert [tick(app, NOON + timedelta(minutes=m)) for m in (0, 29, 30, 31)] == [
        *(False, False),
        *(True, False),
    ]
    assert count(app) == 1


def test_each_tick_runs_once(app: Flask) -> None:
    tick(app, NOON)
    ticks = [tick(app, NOON + timedelta(minutes=m)) for m in range(0, 180, 10)]
    assert (sum(ticks), count(app)) == (3, 3)


def test_ticks_that_were_missed_are_made_up_for_once(app: Flask) -> None:
    tick(app, NOON)
    assert [tick(app, NOON + 50 * HOUR), tick(app, NOON + 50 * HOUR)] == [True, False]


def test_a_clock_that_goes_back_runs_nothing_again(app: Flask) -> None:
    tick(app, NOON)
    assert tick(app, NOON + HOUR)
    assert not tick(app, NOON - 5 * HOUR)
    assert not tick(app, NOON + HOUR)


def naive_tick(opened: Session, now: datetime) -> list[str]:
    """The control: as `rq cron` does it, each scheduler by itself."""
    enqueue(opened, at_half_past)
    opened.commit()
    return [NAME]


@pytest.mark.parametrize(
    ("tick_of", "expected"),
    [(recurring.tick, 1), pytest.param(naive_tick, 8, id="the control")],
)
def test_eight_schedulers_run_a_tick_once(
    app: Flask, tick_of: Callable[[Session, datetime], list[str]], expected: int
) -> None:
    tick(app, NOON)
    start = threading.Barrier(8)

    def run() -> None:
        start.wait(10)
        with app.app_context(), app.extensions["database"].session() as opened:
            tick_of(opened, NOON + HOUR)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(app) == expected
