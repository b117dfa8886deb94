"""The database: an engine per app, a session per request or job, the base of the models.

Nothing to change here: pool, time-outs and retries are settings. Routes, jobs and commands
use `session` to change things and `fetch` to show them; the edge commits once, and what was not
committed is rolled back.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast
from uuid import UUID
from weakref import WeakMethod

import structlog
from flask import Flask, current_app, g, has_request_context, request
from sqlalchemy import Connection, DateTime, MetaData, Select, Table
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from werkzeug.local import LocalProxy

from service import metrics, rows
from service.connections import Hung
from service.engine import make_engine, transactions_of
from service.ids import uuid7
from service.rows import Prepared, Row, Values
from service.sessions import AFTER_COMMIT, GET_ONLY_READS, Reading, Writing
from service.settings import Settings

log = structlog.get_logger()

T = TypeVar("T")
Rows = Sequence[Row]
Statement = Select[Any] | Prepared

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")  # RFC 9110 section 9.2.1

REPLICA_PAUSE = 5  # seconds that reads leave out a replica that was down
REPLICA_PATIENCE = timedelta(seconds=2)  # for a statement there, before the primary is asked


ONCE_MORE = 2  # times that a read is tried again which lost its connection
PAUSE = 0.05  # seconds before that


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


class Database:
    """The engines of an app: connections for reading, sessions for writing."""

    def __init__(self, settings: Settings, process: str) -> None:
        self.engine = make_engine(settings.database_url, settings, process)
        self._transactions = transactions_of(self.engine)
        self._replica: Engine | None = None
        self._replica_down_until = 0.0
        if settings.database_replica_url:
            # The primary can answer instead, so it is not waited for long.
            patience = min(settings.database_statement_timeout, REPLICA_PATIENCE)
            quick = settings.model_copy(
                update={"database_connect_retries": 0, "database_statement_timeout": patience}
            )
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

    @contextmanager
    def apart(self) -> Iterator[Connection]:
        """A connection in autocommit: what it writes is there at once, and stays."""
        with self.engine.connect() as connection:
            yield connection

    def fetch(self, statement: Statement, values: Values, stale: bool) -> Rows:
        """The rows of one statement, on the replica if they may be stale and it answers."""
        if stale and self._replica and time.monotonic() >= self._replica_down_until:
            try:
                with self._replica.connect() as connection:
                    return run(connection, statement, values)
            except (OperationalError, PoolTimeoutError) as error:
                self._replica_down_until = time.monotonic() + REPLICA_PAUSE
                reason = str(getattr(error, "orig", error)).strip()
                metrics.MISSED_REPLICA.inc()
                log.warning("replica is down, the primary answers", reason=reason)
        with self.engine.connect() as connection:
            return run(connection, statement, values)


def database() -> Database:
    """The database of the current app."""
    return cast(Database, current_app.extensions["database"])


def apart() -> AbstractContextManager[Connection]:
    """A connection outside the session's transaction, in autocommit."""
    return database().apart()


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

    Cheaper than an object that is added and flushed. Raises RuntimeError in a GET.
    """
    if _only_reads():
        raise RuntimeError(GET_ONLY_READS)
    table = cast(Table, model.__table__)
    return rows.insertion(table, frozenset(values)).run(_session().connection(), values)


def after_commit(session: Session, call: Callable[[], None]) -> None:
    """Call it after the session's commit. It must not raise: what is committed is done."""
    session.info.setdefault(AFTER_COMMIT, []).append(call)


def begin() -> None:
    """Give a GET that writes after all a transaction. It is not run again then."""
    close()
    g.session = database().session()
    g.writes = True


def close(_: BaseException | None = None) -> None:
    """Give the connection back; what was not committed is rolled back."""
    if found := g.pop("session", None):
        found.close()


def once_more(dispatch: Callable[[], T]) -> T:
    """Dispatch a request, and a safe one again if the database closed its connection under it.

    PostgreSQL that restarts closes every connection; the next is opened with retries. One that
    crashes may close that one too, before it has noticed. A write is never tried again: it may
    have happened.
    """
    for _ in range(ONCE_MORE):
        try:
            return dispatch()
        except DBAPIError as error:
            if not error.connection_invalidated or request.method not in SAFE_METHODS:
                raise
            if isinstance(error.orig, Hung) or "writes" in g:  # it has waited enough, or written
                raise
            log.info("connection lost, reading again", reason=str(error.orig).strip())
            close()
            time.sleep(PAUSE)
    return dispatch()


def init_app(app: Flask, settings: Settings, process: str) -> None:
    app.extensions["database"] = Database(settings, process)
    app.teardown_appcontext(close)
