"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")


def until(condition: Callable[[], T], seconds: float = 60) -> T:
    """What the condition gives, as soon as it is true. Raises AssertionError if it never is."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.01)
    return found


def held_up(asked: psycopg.Connection[Any]) -> int:
    """How many clients of this database wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    row = asked.execute(f"{query} AND datname = current_database()").fetchone()
    assert row is not None
    return int(row[0])
