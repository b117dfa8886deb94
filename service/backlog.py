"""How many jobs wait, since when, and which have failed: for /metrics and the worker itself.

Nothing to change here.
"""

from collections.abc import Iterator, Sequence

import psycopg
import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Connection, text

from service.connections import CONNECT_TIMEOUT, connect_to
from service.settings import Settings

log = structlog.get_logger()

PATIENCE = 1.5  # seconds that a scrape waits for the database
UNFINISHED = """
    SELECT queue, status, count(*), extract(epoch FROM max(clock_timestamp() - queued_at))
    FROM jobs WHERE status IN ('queued', 'running', 'retrying') GROUP BY queue, status
"""
OLDEST = text("""
    SELECT extract(epoch FROM clock_timestamp() - min(queued_at)) FROM jobs
    WHERE status = 'queued' AND queue = ANY(:queues)
""")
FAILED = "SELECT function, count(*) FROM jobs WHERE status = 'failed' GROUP BY function"


class Backlog(Collector):
    """Asks the database at each scrape. Says nothing while it does not answer."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.database_url

    def collect(self) -> Iterator[GaugeMetricFamily]:
        jobs = GaugeMetricFamily("jobs_unfinished", "Jobs by state.", labels=["queue", "status"])
        oldest = GaugeMetricFamily(
            "jobs_oldest_queued_seconds", "How long the oldest one waits.", labels=["queue"]
        )
        failed = GaugeMetricFamily(
            "jobs_failed", "Jobs that failed for good and are kept.", labels=["function"]
        )
        try:
            with connect_to(self._url, patience=PATIENCE, connect_timeout=CONNECT_TIMEOUT) as asked:
                for queue, status, count, age in asked.execute(UNFINISHED):
                    jobs.add_metric([queue, status], count)
                    if status == "queued":
                        oldest.add_metric([queue], float(age))
                for function, count in asked.execute(FAILED):
                    failed.add_metric([function], count)
        except psycopg.Error as error:
            log.warning("no metrics of the jobs", reason=str(error).strip())
            return
        yield from (jobs, oldest, failed)


def oldest(connection: Connection, queues: Sequence[str]) -> float | None:
    """Seconds that the oldest job of these queues waits; None if none does."""
    found = connection.execute(OLDEST, {"queues": list(queues)}).scalar()
    return None if found is None else float(found)


def expose(settings: Settings) -> bytes:
    """The metrics of the jobs of all processes, as text."""
    registry = CollectorRegistry()
    registry.register(Backlog(settings))
    return generate_latest(registry)
