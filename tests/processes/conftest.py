"""What tests of processes share."""

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import delete

from service.db import session
from service.devservers import Postgres, Redis
from service.outbox import Job
from tests.counted import empty
from tests.working import own_app


@pytest.fixture(scope="module")
def _app(postgres: Postgres, redis_server: Redis) -> Iterator[Flask]:
    with own_app(postgres, redis_server, 4) as made:
        yield made


@pytest.fixture
def own(_app: Flask) -> Flask:
    """An app whose jobs only the worker takes that a test starts; there are none yet."""
    with _app.app_context():
        session.execute(delete(Job))
        session.commit()
    empty(_app)
    return _app
