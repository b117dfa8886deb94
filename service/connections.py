"""Connections to PostgreSQL: tried again while it restarts, given up on while it hangs or is gone.

Nothing to change here; retries and time-outs are settings.
"""

import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from pydantic import SecretStr
from sqlalchemy import make_url

from service.rotation import Renewable, is_renewed

CONNECT_TIMEOUT = 2  # seconds; libpq takes no less
RETRY_FOR = 4  # seconds after which no further try begins
STALE = 3  # seconds after the last try that failed in which the database is taken for down
FAIL_FAST = 1  # seconds between tries to connect, after all tries have failed
OVERTIME = 1  # seconds after its time-out that a statement has to be cancelled by the server

# A wrong password, role or database does not get right by trying again. There is nothing but
# words to tell it by: libpq has no SQLSTATE of a connection that was not made. A server that
# speaks another language than English costs some more tries, no more.
_REFUSED = re.compile(
    r"password authentication failed|no password supplied"
    r'|role ".*" (does not exist|is not permitted to log in)'
)
_HOPELESS = re.compile(
    _REFUSED.pattern + r'|no pg_hba.conf entry|database ".*" does not exist'
    r"|permission denied for database"
    r"|invalid (sslmode|channel_binding|target_session_attrs|connection option|port number)"
)


class Hung(psycopg.OperationalError):
    """The server holds the connection and does not answer."""


class Connection(psycopg.Connection[Any]):
    """A connection that waits for so many seconds of patience, and is closed then.

    The statement time-out is kept by the server, so not by one that hangs; and its machine goes
    on to acknowledge what TCP sends.
    """

    patience: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Do what `gen` does. Raises Hung when that takes longer than patience.

        An error loses its DETAIL, which quotes the row: errors are logged.
        """
        began, patience = time.monotonic(), timeout or self.patience
        try:
            return super().wait(gen, interval, patience)
        except psycopg.Error as error:
            if error.diag.message_detail:
                error.args = (error.diag.message_primary, *error.args[1:])
            # A connection that broke while the statement was sent may look as if it waited still.
            broke = isinstance(error, psycopg.OperationalError) and self._give_up()
            if broke and patience and time.monotonic() - began >= patience:
                raise Hung("the server does not answer") from error
            raise
        except BaseException:  # of a signal's handler, amid an answer: a job's time-out
            self._give_up()
            raise

    def _give_up(self) -> bool:
        """Close it if it waits for an answer, which nobody will read."""
        if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
            return False
        self.pgconn.finish()
        return True

    def rollback(self) -> None:
        """Roll back what there is: the pool asks each time, and mostly there is nothing."""
        if self.pgconn.transaction_status != TransactionStatus.IDLE:
            super().rollback()


def address(url: SecretStr) -> str:
    """A DATABASE_URL as the driver takes it, with its password."""
    found = make_url(url.get_secret_value()).set(drivername="postgresql")
    return found.render_as_string(hide_password=False)


def connect(*args: Any, patience: float, **kwargs: Any) -> Connection:
    """A connection in autocommit. Raises psycopg.OperationalError."""
    connection = Connection.connect(*args, autocommit=True, **kwargs)
    connection.patience = patience
    return connection


def connect_to(url: SecretStr, *, patience: float, **kwargs: Any) -> Connection:
    """A connection to a DATABASE_URL, in autocommit; if that is refused, to what it is by then.
    Raises psycopg.OperationalError."""
    used = url.get_secret_value()
    try:
        return connect(address(url), patience=patience, **kwargs)
    except psycopg.OperationalError as error:
        if not (is_refused(error) and is_renewed(url, used)):
            raise
    return connect(address(url), patience=patience, **kwargs)


@contextmanager
def limited(connection: Connection, seconds: float) -> Iterator[None]:
    """A transaction whose statements the server cancels after so many seconds each
    (psycopg.errors.QueryCanceled): what a client merely stops waiting for, it does to its end.

    As a statement, not as an option of the connection, which PgBouncer would refuse.
    """
    with connection.transaction():
        connection.execute(f"SET LOCAL statement_timeout = {int(seconds * 1000)}")
        yield


def is_hopeless(error: BaseException) -> bool:
    """Whether to connect fails for a reason that trying again does not change."""
    return _HOPELESS.search(str(error)) is not None


def is_refused(error: BaseException) -> bool:
    """Whether the server knows no such user or password: another one may be in force by now."""
    return _REFUSED.search(str(error)) is not None


class Connector:
    """Opens connections for a pool: tries again while PostgreSQL restarts, then fails fast.

    With a `url` that may be another one later, each is made to what it is by then.
    """

    def __init__(
        self,
        retries: int,
        statement_timeout: float,
        pooled: bool = False,
        url: SecretStr | None = None,
    ) -> None:
        self.url = url if isinstance(url, Renewable) else None
        self.retries = retries
        self.statement_timeout = statement_timeout
        self.pooled = pooled  # by PgBouncer: what is SET there, other clients get
        self.is_down = False
        self.tried_at = 0.0  # monotonic seconds
        self.up_at = 0.0  # when a connection was made last

    def __call__(self, dialect: Any, record: Any, args: Any, kwargs: Any) -> Connection:
        """Connect, as SQLAlchemy's event `do_connect`. Raises psycopg.OperationalError."""
        if self.is_down and time.monotonic() - self.tried_at > STALE:
            self.is_down = False  # so long ago that nobody knows: all may try, and try again
        if self.is_down:
            if time.monotonic() - self.tried_at < FAIL_FAST:
                raise psycopg.OperationalError("not tried: the database was down a moment ago")
            self.tried_at = time.monotonic()  # one thread tries, and the others go on failing
        began = time.monotonic()
        try:
            connection = self._connect(args, kwargs)
        except psycopg.OperationalError:
            # Not if another thread has got there meanwhile: what is believed to be down is given
            # one try, and stays so until somebody needs a new connection.
            if self.up_at < began:
                self.is_down, self.tried_at = True, time.monotonic()
            raise
        self.is_down, self.up_at = False, time.monotonic()
        return connection

    def _connect(self, args: Any, kwargs: Any) -> Connection:
        pause, give_up = 0.1, time.monotonic() + RETRY_FOR
        tries = 1 if self.is_down else 1 + self.retries
        while True:
            tries -= 1
            used = self.url.get_secret_value() if self.url else None
            try:
                return self._open(args, kwargs | _parts(used))
            except psycopg.OperationalError as error:
                # Who rotates a password changes it here and there, one a moment after the other.
                rotates = used is not None and is_refused(error)
                if rotates and self._is_renewed(used) and time.monotonic() < give_up:
                    pause, tries = 0.1, 1 + self.retries
                    continue
                hopeless = is_hopeless(error) and not rotates
                if tries < 1 or time.monotonic() > give_up or hopeless:
                    raise
            # 0.1, 0.2, 0.4, 0.8, 1.6 s, each between half and whole: 16 clients that lost
            # their connection together do not come back together.
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
            pause *= 2

    def _is_renewed(self, used: str | None) -> bool:
        return self.url is not None and used is not None and is_renewed(self.url, used)

    def _open(self, args: Any, kwargs: Any) -> Connection:
        connection = connect(*args, patience=self.statement_timeout + OVERTIME, **kwargs)
        if self.pooled:
            return connection
        try:
            connection.execute(f"SET statement_timeout = {int(self.statement_timeout * 1000)}")
        except psycopg.Error:  # the server went down just now: to be tried again like a connect
            connection.close()
            raise
        return connection


def _parts(url: str | None) -> dict[str, Any]:
    """Of a URL, in the place of those that the pool was made with; its query stays."""
    if url is None:
        return {}
    return make_url(url).translate_connect_args(username="user", database="dbname")
