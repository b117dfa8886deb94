"""Engines: a pool of connections that are in autocommit, looked at before use, and counted.

Nothing to change here: pool, time-outs and retries are settings.
"""

import time
from functools import partial
from select import POLLERR, POLLHUP, POLLIN, poll
from typing import Any

import psycopg
from pydantic import SecretStr
from sqlalchemy import Connection, create_engine, event, make_url
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from service import metrics, rows
from service.connections import CONNECT_TIMEOUT, Connector
from service.settings import Settings
from service.statements import Traced

WORTH_COUNTING = 0.001  # seconds; a pool that has a connection gives it in a fiftieth of that
POOL_TIMEOUT = 3  # seconds that a request waits for a connection of a full pool
IDLE_BEFORE_LOOK = 1  # seconds
IDLE_BEFORE_PING = 30  # seconds


class MeasuredPool(QueuePool):
    """A pool that tells how many connections are in use, and how long requests waited."""

    def connect(self) -> PoolProxiedConnection:
        start = time.perf_counter()
        connection = super().connect()
        if (waited := time.perf_counter() - start) > WORTH_COUNTING:
            metrics.POOL_WAIT.inc(waited)
        return connection


def _check(dialect: Any, connection: Any, record: Any, proxy: Any) -> None:
    """Look at a pooled connection before it is used, as the event `checkout`.

    pool_pre_ping would cost each request a round trip. A connection that was used a moment ago
    is taken as it is. One that was idle has nothing to say unless it was closed, which a look
    at its socket tells; then, and after a pause long enough for a firewall to forget it, it
    is pinged.
    """
    now = time.monotonic()
    idle = now - record.info.get("used_at", now)
    record.info["used_at"] = now
    if idle >= IDLE_BEFORE_LOOK:
        try:
            if idle > IDLE_BEFORE_PING or _has_something_to_say(connection.pgconn.socket):
                dialect.do_ping(connection)
        except (psycopg.Error, ValueError) as error:  # ValueError: it is closed and has no socket
            raise DisconnectionError(str(error)) from error
    record.record_info["in_use"] = True
    metrics.POOL_IN_USE.inc()


def _release(_: Any, record: Any) -> None:
    """As the event `checkin`, which comes after a failed checkout too."""
    if record.record_info.pop("in_use", False):
        metrics.POOL_IN_USE.dec()


def _has_something_to_say(descriptor: int) -> bool:
    waiting = poll()  # select() cannot look at descriptors over 1023
    waiting.register(descriptor, POLLIN | POLLHUP | POLLERR)
    return bool(waiting.poll(0))


def _begin(connection: Connection) -> None:
    """Begin a transaction on a connection that is in autocommit, as the event `begin`."""
    try:
        rows.driver(connection).execute("BEGIN", prepare=False)
    except psycopg.Error as error:
        rows.reraise(connection, error, "BEGIN")


def _recognise(context: ExceptionContext) -> None:
    """Tell SQLAlchemy of a lost connection that psycopg has not noticed yet."""
    if rows.is_gone(context.original_exception):
        context.is_disconnect = True


def make_engine(url: SecretStr, settings: Settings, process: str) -> Engine:
    """An engine in autocommit: a read is one round trip, not BEGIN, SELECT and ROLLBACK."""
    engine = create_engine(
        make_url(url.get_secret_value()),
        poolclass=MeasuredPool,
        pool_size=settings.database_pool_size,
        max_overflow=settings.database_pool_max - settings.database_pool_size,
        pool_timeout=POOL_TIMEOUT,
        pool_use_lifo=True,  # so that the connections of a peak go idle, and are noticed
        pool_recycle=1800,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,  # a password's hash does not belong in an error's text
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT,
            "application_name": f"service {process}",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 15_000,
            # Only where there is somebody to tell it, or it would cost each statement.
            **({"cursor_factory": Traced} if settings.otel_exporter_otlp_endpoint else {}),
            "prepare_threshold": 5 if settings.database_prepared_statements else None,
        },
    )
    timeout = settings.database_statement_timeout.total_seconds()
    pooled = not settings.database_prepared_statements
    connector = Connector(settings.database_connect_retries, timeout, pooled, url)
    event.listen(engine, "do_connect", connector)
    event.listen(engine, "checkout", partial(_check, engine.dialect))
    event.listen(engine, "checkin", _release)
    event.listen(engine, "connect", lambda *_: metrics.POOL_MAX.set(settings.database_pool_max))
    event.listen(engine, "handle_error", _recognise)
    return engine


def transactions_of(engine: Engine) -> Engine:
    """The same pool, whose transactions begin with a BEGIN of our own.

    Switching a connection's isolation level there and back costs more than the transaction.
    """
    found = engine.execution_options()
    event.listen(found, "begin", _begin)
    return found
