"""The database: an engine per app, a session per request or job, the base of the models.

Nothing to change here: pool, time-outs and retries are settings. Routes, jobs and commands
use `session` to change things and `fetch` to show them; the edge commits once, and what was not
committed is rolled back.
"""

import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from select import select
from typing import Any, TypeVar, cast
from uuid import UUID
from weakref import WeakMethod

import psycopg
import structlog
from flask import Flask, current_app, g, has_request_context, request
from pydantic import SecretStr
from sqlalchemy import Connection, DateTime, MetaData, Select, Table, create_engine, event, make_url
from sqlalchemy.engine import Engine, ExceptionContext, RootTransaction
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import PoolProxiedConnection, QueuePool
from werkzeug.local import LocalProxy

from service import metrics, rows
from service.connections import CONNECT_TIMEOUT, Connector, Hung
from service.ids import uuid7
from service.rows import Prepared, Row, Values
from service.settings import Settings

log = structlog.get_logger()

T = TypeVar("T")
Rows = Sequence[Row]
Statement = Select[Any] | Prepared

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")  # RFC 9110 section 9.2.1

WORTH_COUNTING = 0.001  # seconds; a pool that has a connection gives it in a fiftieth of that
POOL_TIMEOUT = 3  # seconds that a request waits for a connection of a full pool
IDLE_BEFORE_LOOK = 1  # seconds
IDLE_BEFORE_PING = 30  # seconds
REPLICA_PAUSE = 5  # seconds that reads leave out a replica that was down


class Model(DeclarativeBase):
    """The base of every table: a UUIDv7 key, times with a zone, constraints with names."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: DateTime(timezone=True)}

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)


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
            if idle > IDLE_BEFORE_PING or select([connection.pgconn.socket], [], [], 0)[0]:
                dialect.do_ping(connection)
        except (psycopg.Error, ValueError) as error:  # ValueError: it is closed and has no socket
            raise DisconnectionError(str(error)) from error
    metrics.POOL_IN_USE.inc()


def _begin(connection: Connection) -> None:
    """Begin a transaction on a connection that is in autocommit, as the event `begin`."""
    try:
        rows.driver(connection).execute("BEGIN", prepare=False)
    except psycopg.Error as error:
        raise rows.translated(connection, error, "BEGIN") from error


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
            "prepare_threshold": 5 if settings.database_prepared_statements else None,
        },
    )
    timeout = settings.database_statement_timeout.total_seconds()
    event.listen(engine, "do_connect", Connector(settings.database_connect_retries, timeout))
    event.listen(engine, "checkout", partial(_check, engine.dialect))
    event.listen(engine, "checkin", lambda *_: metrics.POOL_IN_USE.dec())
    event.listen(engine, "handle_error", _recognise)
    return engine


class Reading(Session):
    """The session of a GET: in autocommit, so it must not write."""

    def __init__(self, bind: Engine | Connection) -> None:
        super().__init__(bind, expire_on_commit=False)

    def flush(self, objects: Sequence[Any] | None = None) -> None:
        """Raises RuntimeError if there is something to write."""
        if self.new or self.dirty or self.deleted:
            raise RuntimeError("a GET only reads: call db.begin() first in one that writes")
        super().flush(objects)


class Writing(Session):
    """The session of everything else: its rows and its objects share a transaction.

    Rows need no more of it than the connection, which it takes when it is first asked for; what
    a session does beyond that costs as much as an INSERT, and only who has objects pays for it.
    """

    def __init__(self, engine: Engine) -> None:
        # "control_fully": this session's commit is the transaction's, whoever began it.
        super().__init__(expire_on_commit=False, join_transaction_mode="control_fully")
        self._engine = engine
        self._connection: Connection | None = None

    def get_bind(self, *_: Any, **__: Any) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def connection(self, *_: Any, **__: Any) -> Connection:
        """The connection, in its transaction. What was added and not flushed is not seen."""
        connection = self.get_bind()
        if not connection.in_transaction():
            connection.begin()
        return connection

    def commit(self) -> None:
        if self.in_transaction():  # there are, or were, objects
            super().commit()
        if (transaction := self._transaction_of_rows()) is not None:
            transaction.commit()

    def rollback(self) -> None:
        super().rollback()
        if (transaction := self._transaction_of_rows()) is not None:
            transaction.rollback()

    def close(self) -> None:
        super().close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _transaction_of_rows(self) -> RootTransaction | None:
        return self._connection.get_transaction() if self._connection is not None else None


class Database:
    """The engines of an app: connections for reading, sessions for writing."""

    def __init__(self, settings: Settings, process: str) -> None:
        self.engine = make_engine(settings.database_url, settings, process)
        # The same pool, with a BEGIN of our own: switching a connection's isolation level there
        # and back costs more than the transaction itself.
        self._transactions = self.engine.execution_options()
        event.listen(self._transactions, "begin", _begin)
        self._replica: Engine | None = None
        self._replica_down_until = 0.0
        if settings.database_replica_url:
            quick = settings.model_copy(update={"database_connect_retries": 0})
            self._replica = make_engine(settings.database_replica_url, quick, process)
        # A connection that two processes write to is garbage for both. The parent's stay open.
        forget = WeakMethod(self.forget_connections)
        os.register_at_fork(after_in_child=lambda: (method := forget()) and method())

    def forget_connections(self) -> None:
        for engine in filter(None, (self.engine, self._replica)):
            engine.dispose(close=False)

    def session(self) -> Session:
        """A session whose transaction begins with its first statement."""
        return Writing(self._transactions)

    def reading_session(self) -> Session:
        """A session without a transaction: each statement sees what is committed by then."""
        return Reading(self.engine)

    def fetch(self, statement: Statement, values: Values, stale: bool) -> Rows:
        """The rows of one statement, on the replica if they may be stale and it answers."""
        if stale and self._replica and time.monotonic() >= self._replica_down_until:
            try:
                with self._replica.connect() as connection:
                    return run(connection, statement, values)
            except OperationalError as error:
                self._replica_down_until = time.monotonic() + REPLICA_PAUSE
                log.warning("replica is down, the primary answers", reason=str(error.orig))
        with self.engine.connect() as connection:
            return run(connection, statement, values)


def database() -> Database:
    """The database of the current app."""
    return cast(Database, current_app.extensions["database"])


def fetch(statement: Statement, *, stale: bool = False, **values: Any) -> Rows:
    """The rows that a statement selects, to be shown and not changed.

    A third of the cost of objects in a session if it is `Prepared`. `select(Model)` gives rows
    with the model's columns as attributes. In a GET there is no transaction, and with `stale` the
    rows may come from the replica and be as old as it lags; elsewhere they are of the session's
    transaction, so that it sees what it has written.
    """
    if _only_reads():
        return database().fetch(statement, values, stale)
    found = _session()
    found.flush()
    return run(found.connection(), statement, values)


def run(connection: Connection, statement: Statement, values: Values) -> Rows:
    if isinstance(statement, Prepared):
        return statement.run(connection, values)
    return connection.execute(statement, values).fetchall()


def _only_reads() -> bool:
    return has_request_context() and request.method in SAFE_METHODS and "session" not in g


def _session() -> Session:
    if (found := g.get("session")) is None:
        made = database().reading_session() if _only_reads() else database().session()
        found = g.session = made
    return cast(Session, found)


# The session of the current request, job or command. A GET only reads, so it gets no
# transaction; everything else gets one, which the edge commits once.
session: Session = cast(Session, LocalProxy(_session))


def insert(model: type[Model], **values: Any) -> Row:
    """Add a row in the session's transaction, and return it to be shown, defaults filled in.

    A third of the cost of an object that is added and flushed.
    """
    table = cast(Table, model.__table__)
    return rows.insertion(table, frozenset(values)).run(_session().connection(), values)


def begin() -> None:
    """Give a GET that writes after all a transaction."""
    close()
    g.session = database().session()


def close(_: BaseException | None = None) -> None:
    """Give the connection back; what was not committed is rolled back."""
    if found := g.pop("session", None):
        found.close()


def once_more(dispatch: Callable[[], T]) -> T:
    """Dispatch a request, and a safe one again if the database closed its connection under it.

    PostgreSQL that restarts closes every connection; the next is opened with retries. A write
    is never tried again: it may have happened.
    """
    try:
        return dispatch()
    except DBAPIError as error:
        if not error.connection_invalidated or request.method not in SAFE_METHODS:
            raise
        if isinstance(error.orig, Hung):  # who asked has waited long enough
            raise
        log.info("connection lost, reading again", reason=str(error.orig).strip())
        close()
        vars(g).clear()
        return dispatch()


def init_app(app: Flask, settings: Settings, process: str) -> None:
    app.extensions["database"] = Database(settings, process)
    app.teardown_appcontext(close)
