"""Runs the jobs that wait, here and now, as a worker would: for tests of what jobs do."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from flask import Flask
from sqlalchemy import select

from service import claims, db
from service.app import create_app
from service.attempt import perform
from service.claims import Claim
from service.db import session
from service.devservers import Postgres, Redis
from service.handover import HandOver
from service.outbox import QUEUED, Job
from tests.conftest import make_settings
from tests.counted import patient
from tests.serving import own_database

LEASE = timedelta(seconds=20)


@contextmanager
def own_app(postgres: Postgres, redis: Redis, number: int) -> Iterator[Flask]:
    """An app with a database of its own, and Redis' database of this number."""
    with handing_over(own_database(postgres), f"{redis.url[:-1]}{number}") as app:
        yield app


@contextmanager
def handing_over(database_url: str, redis_url: str) -> Iterator[Flask]:
    """An app that hands each job over, however long Redis takes: there may be no relay."""
    app = create_app(make_settings(database_url, redis_url))
    patient(app.extensions["redis"])
    app.extensions["handover"] = HandOver(app.extensions["redis"])
    yield app
    app.extensions["handover"].close()
    app.extensions["database"].engine.dispose()


def claim(app: Flask, id: UUID, worker: str = "a worker") -> Claim | None:
    with app.app_context(), db.apart() as connection:
        return claims.claim(connection, id, worker, LEASE)


def work(app: Flask) -> int:
    """Run all jobs that are queued, the oldest first; return how many."""
    with app.app_context():
        ids = session.scalars(select(Job.id).where(Job.status == QUEUED).order_by(Job.id)).all()
    for id in ids:
        if (found := claim(app, id)) is not None:
            perform(app, found)
    return len(ids)


def job(app: Flask, id: UUID) -> Job:
    """A job as it is now."""
    with app.app_context():
        found = session.get(Job, id)
        assert found is not None
        return found
