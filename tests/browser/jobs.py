"""Jobs as /ops shows them: those that have failed for good."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg

from tests.serving import Served

FAIL = """
    INSERT INTO jobs (id, function, arguments, queue, status, attempts, max_attempts, due_at,
        finished_at, error)
    VALUES (%s, %s, '[[], {}]', 'default', 'failed', 3, 3, now(), now(), %s)
"""


@contextmanager
def failed(served: Served, function: str, error: str = "ValueError: no") -> Iterator[UUID]:
    """A job that has failed for good."""
    id = uuid4()
    with psycopg.connect(served.environment["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(FAIL, (id, function, error))
        yield id
        connection.execute("DELETE FROM jobs WHERE id = %s", (id,))


def status(served: Served, id: UUID) -> Any:
    with psycopg.connect(served.environment["DATABASE_URL"]) as connection:
        return connection.execute("SELECT status FROM jobs WHERE id = %s", (id,)).fetchone()
