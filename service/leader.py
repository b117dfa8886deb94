"""Leadership among processes of one kind: the one that holds a lock of the database acts.

Nothing to change here.
"""

import psycopg
import structlog

from service.connections import connect_to
from service.settings import Settings

log = structlog.get_logger()

# PostgreSQL ends the transaction of a leader that is silent for so long: frozen, or cut off. A
# transaction, not a session, is what holds the lock: PgBouncer gives each to one connection.
SILENCE = 6  # seconds
PATIENCE = 3.0  # seconds that a question to the database may take


class Leader:
    """Holds, or waits for, the lock of this number (an advisory lock's key)."""

    def __init__(self, settings: Settings, key: int) -> None:
        self._url = settings.database_url
        self._key = key
        self._connection: psycopg.Connection | None = None

    def leads(self) -> bool:
        """Whether it is us now. Raises psycopg.Error if the database does not answer."""
        try:
            if self._connection is not None:
                self._connection.execute("SELECT 1")
                return True
            self._connection = self._locked()
            return self._connection is not None
        except psycopg.Error:
            self.resign()
            raise

    def resign(self) -> None:
        """Let another one lead, at once."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _locked(self) -> psycopg.Connection | None:
        connection = connect_to(
            self._url,
            patience=PATIENCE,
            connect_timeout=2,
            application_name="service scheduler",
        )
        try:
            connection.execute("BEGIN")
            connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{SILENCE}s'")
            asked = "SELECT pg_try_advisory_xact_lock(%s)"
            if connection.execute(asked, (self._key,)).fetchone() == (True,):
                return connection
        except psycopg.Error:
            connection.close()
            raise
        connection.close()
        return None
