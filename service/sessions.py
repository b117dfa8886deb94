"""Sessions: one that reads without a transaction, and one that shares a transaction with rows.

Nothing to change here; `service.db.session` is the one to use.
"""

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, TextClause, event
from sqlalchemy.engine import Engine, RootTransaction
from sqlalchemy.orm import ORMExecuteState, Session

GET_ONLY_READS = "a GET only reads: call db.begin() first in one that writes"
_QUERY = re.compile(r"\s*(SELECT|WITH|SHOW|VALUES|TABLE|EXPLAIN)\b", re.IGNORECASE)

AFTER_COMMIT = "after_commit"  # in a session's info: what follows its commit


class Reading(Session):
    """The session of a GET: in autocommit, so it must not write."""

    def __init__(self, bind: Engine | Connection) -> None:
        super().__init__(bind, expire_on_commit=False)

        event.listen(self, "do_orm_execute", _refuse_to_write)

    def flush(self, objects: Sequence[Any] | None = None) -> None:
        """Raises RuntimeError if there is something to write."""
        if self.new or self.dirty or self.deleted:
            raise RuntimeError(GET_ONLY_READS)
        super().flush(objects)


def _refuse_to_write(state: ORMExecuteState) -> None:
    """As the event `do_orm_execute`. Raises RuntimeError for anything but a query."""
    statement = state.statement
    if state.is_insert or state.is_update or state.is_delete:
        raise RuntimeError(GET_ONLY_READS)
    if isinstance(statement, TextClause) and not _QUERY.match(statement.text):
        raise RuntimeError(GET_ONLY_READS)


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
        if self.in_nested_transaction():  # the savepoint is made when it is first needed
            return super().connection()
        connection = self.get_bind()
        if not connection.in_transaction():
            connection.begin()
        return connection

    def commit(self) -> None:
        if self.in_transaction():  # there are, or were, objects
            super().commit()
        if (transaction := self._transaction_of_rows()) is not None:
            transaction.commit()
        if AFTER_COMMIT in self.info:
            for follow in self.info.pop(AFTER_COMMIT):
                follow()

    def rollback(self) -> None:
        self.info.pop(AFTER_COMMIT, None)
        super().rollback()
        if (transaction := self._transaction_of_rows()) is not None:
            transaction.rollback()

    def close(self) -> None:
        self.info.pop(AFTER_COMMIT, None)
        super().close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _transaction_of_rows(self) -> RootTransaction | None:
        return self._connection.get_transaction() if self._connection is not None else None
