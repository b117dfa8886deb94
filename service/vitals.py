"""What PostgreSQL and Redis say of themselves, and the jobs' table of the jobs: at each scrape.

Add a figure: a family in one of the functions below. Every web of a fleet says the same of them,
so rules and dashboards take the `max`, never the `sum`.
"""

from collections.abc import Callable, Iterable, Iterator

import psycopg
import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis import Redis, RedisError

from service import backlog
from service.connections import CONNECT_TIMEOUT, Connection, connect_to, limited
from service.redis import make_client
from service.settings import Settings

log = structlog.get_logger()

PATIENCE = 1.5  # seconds that who looks waits for an answer of the database, and of Redis
LIMIT = 1.0  # seconds after which the database is to give up on it
CONNECTIONS = """
    SELECT coalesce(state, 'other'), count(*) FROM pg_stat_activity
    WHERE datid IS NOT NULL GROUP BY 1
"""
DATABASE = """
    SELECT current_setting('max_connections')::int, pg_database_size(datid),
        xact_commit, xact_rollback, deadlocks
    FROM pg_stat_database WHERE datname = current_database()
"""


def patient_client(settings: Settings) -> Redis:
    """For who looks: a Redis that takes longer than a request waits is slow, and not down."""
    return make_client(settings, socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE)


class Vitals(Collector):
    """Asks both at each scrape. Of one that does not answer it says that it is not up, no more."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.database_url
        self._client = patient_client(settings)

    def collect(self) -> Iterator[Metric]:
        database = GaugeMetricFamily("database_up", "Whether PostgreSQL answers this process.")
        try:
            with connect_to(self._url, patience=PATIENCE, connect_timeout=CONNECT_TIMEOUT) as asked:
                found = [*_told(asked, _of_database), *_told(asked, backlog.families)]
            database.add_metric([], 1)
            yield from found
        except psycopg.Error as error:
            log.warning("the database has no metrics", reason=str(error).strip())
            database.add_metric([], 0)
        yield database
        redis = GaugeMetricFamily("redis_up", "Whether Redis answers this process.")
        try:
            yield from _of_redis(self._client)
            redis.add_metric([], 1)
        except RedisError as error:
            log.warning("no metrics of Redis", reason=str(error))
            redis.add_metric([], 0)
        yield redis


def _told(asked: Connection, question: Callable[[Connection], Iterable[Metric]]) -> list[Metric]:
    """None, if that takes the database too long, or it has no such table: it is up all the same."""
    try:
        with limited(asked, LIMIT):
            return list(question(asked))
    except (psycopg.errors.QueryCanceled, psycopg.ProgrammingError) as error:
        log.warning("the database cannot tell", of=question.__module__, reason=str(error).strip())
        return []


def _of_database(asked: Connection) -> Iterator[Metric]:
    open_ = GaugeMetricFamily(
        "database_connections", "Connections to the server by state.", labels=["state"]
    )
    for state, count in asked.execute(CONNECTIONS):
        open_.add_metric([state], count)
    yield open_
    row = asked.execute(DATABASE).fetchone()
    assert row is not None, "one is connected to a database that there is"
    most, size, committed, rolled_back, deadlocks = row
    yield GaugeMetricFamily(
        "database_connections_max", "The most connections that the server takes.", value=most
    )
    yield GaugeMetricFamily("database_size_bytes", "What the database takes on disk.", value=size)
    transactions = CounterMetricFamily(
        "database_transactions", "Transactions that have ended.", labels=["outcome"]
    )
    transactions.add_metric(["committed"], committed)
    transactions.add_metric(["rolled_back"], rolled_back)
    yield transactions
    yield CounterMetricFamily("database_deadlocks", "Deadlocks that were found.", value=deadlocks)


def _of_redis(client: Redis) -> list[Metric]:
    info = client.info()
    used, most, evicted = (info[key] for key in ("used_memory", "maxmemory", "evicted_keys"))
    return [
        GaugeMetricFamily("redis_memory_used_bytes", "What Redis holds in memory.", value=used),
        GaugeMetricFamily("redis_memory_max_bytes", "What it may; 0 for no limit.", value=most),
        CounterMetricFamily(
            "redis_evicted_keys", "Keys that had to go for want of memory.", value=evicted
        ),
    ]


def make_registry(settings: Settings) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(Vitals(settings))
    return registry


def expose(registry: CollectorRegistry) -> bytes:
    return generate_latest(registry)
