"""How many jobs wait, since when, and which have failed: for /metrics and the worker itself.

Nothing to change here.
"""

from collections.abc import Iterator, Sequence

import psycopg
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Connection, text

UNFINISHED = """
    SELECT queue, status, count(*), extract(epoch FROM max(clock_timestamp() - queued_at))
    FROM jobs WHERE status IN ('queued', 'running', 'retrying') GROUP BY queue, status
"""
OLDEST = text("""
    SELECT extract(epoch FROM clock_timestamp() - min(queued_at)) FROM jobs
    WHERE status = 'queued' AND queue = ANY(:queues)
""")
OVERDUE = """
    SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(due_at)), 0) FROM jobs
    WHERE status IN ('queued', 'running', 'retrying') AND due_at <= clock_timestamp()
"""
FAILED = "SELECT function, count(*) FROM jobs WHERE status = 'failed' GROUP BY function"


def families(asked: psycopg.Connection) -> Iterator[Metric]:
    """The metrics of the jobs of all processes."""
    jobs = GaugeMetricFamily("jobs_unfinished", "Jobs by state.", labels=["queue", "status"])
    waiting = GaugeMetricFamily(
        "jobs_oldest_queued_seconds", "How long the oldest one waits.", labels=["queue"]
    )
    for queue, status, count, age in asked.execute(UNFINISHED):
        jobs.add_metric([queue, status], count)
        if status == "queued":
            waiting.add_metric([queue], float(age))
    failed = GaugeMetricFamily(
        "jobs_failed", "Jobs that failed for good and are kept.", labels=["function"]
    )
    for function, count in asked.execute(FAILED):
        failed.add_metric([function], count)
    row = asked.execute(OVERDUE).fetchone()
    assert row is not None
    count, age = row
    yield from (jobs, waiting, failed)
    yield GaugeMetricFamily(
        "outbox_overdue_jobs", "Jobs that the relay should have looked at by now.", value=count
    )
    yield GaugeMetricFamily(
        "outbox_overdue_seconds", "For how long the first of these is overdue.", value=float(age)
    )


def oldest(connection: Connection, queues: Sequence[str]) -> float | None:
    """Seconds that the oldest job of these queues waits; None if none does."""
    found = connection.execute(OLDEST, {"queues": list(queues)}).scalar()
    return None if found is None else float(found)
