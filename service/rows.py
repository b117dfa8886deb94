"""Rows: statements that are compiled once and run on the driver, for what each request does.

SQLAlchemy spends 80 µs on each execution of a statement on work that is the same every time.
Prepare what is hot, beside its model: `BY_ID = Prepared(select(Post).where(...))`; values come by
the names of its bindparams. A statement that is built anew for each call runs as it is.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping
from functools import cache, cached_property
from typing import Any, NamedTuple, NoReturn, TypeAlias, cast

import psycopg
from sqlalchemy import Connection, Insert, Select, Table, Update, bindparam
from sqlalchemy import insert as sql_insert
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.types import TypeEngine

# What PostgreSQL says when it shuts down, crashes or starts: the connection is no more, or
# was not made yet. https://www.postgresql.org/docs/current/errcodes-appendix.html
GONE = ("57P01", "57P02", "57P03", "57P05", "08000", "08003", "08006")

KEPT_ROWS = 50  # of a result that stays in memory, on each connection, until the next one

Row: TypeAlias = Any  # a tuple whose columns are attributes too
Values: TypeAlias = Mapping[str, Any]

_DIALECT: Any = dialect()  # type: ignore[no-untyped-call]


class Compiled(NamedTuple):
    sql: str
    fixed: dict[str, Any]  # the values that the statement itself holds
    row: Callable[[Iterable[Any]], Row]


class Prepared:
    """A statement of which only the values change, compiled when it is first run."""

    def __init__(self, statement: Select[Any] | Insert | Update) -> None:
        self.statement = statement

    def run(self, connection: Connection, values: Values) -> list[Row]:
        """Its rows. Raises DBAPIError and its subclasses, as SQLAlchemy does."""
        sql, fixed, row = self._compiled
        pooled = connection.connection
        # A cursor that runs the same statement again knows how to read its rows: 15 µs less.
        if (cursor := pooled.info.get(self)) is None:
            cursor = pooled.info[self] = pooled.cursor()
        try:
            found = cursor.execute(sql, {**fixed, **values} if fixed else values).fetchall()
        except psycopg.Error as error:
            reraise(connection, error, sql)
        if len(found) > KEPT_ROWS:
            del pooled.info[self]  # a cursor holds its last result
        return [row(each) for each in found]

    @cached_property
    def _compiled(self) -> Compiled:
        """Raises TypeError for what only SQLAlchemy's own way can run."""
        compiled = self.statement.compile(dialect=_DIALECT)
        columns = self.statement.exported_columns
        if compiled.post_compile_params:
            raise TypeError("an IN of any length cannot be prepared: use column = any_(array)")
        _refuse_conversions(bind.type for bind in compiled.binds.values())
        _refuse_conversions(column.type for column in columns)
        row: Any = namedtuple("Row", map(str, columns.keys()), rename=True)  # type: ignore[misc]
        names = {name for bind, name in compiled.bind_names.items() if not bind.required}
        fixed = {name: compiled.params[name] for name in names}
        return Compiled(str(compiled), fixed, row._make)


def _refuse_conversions(types: Iterable[TypeEngine[Any]]) -> None:
    for type in types:
        found = type.dialect_impl(_DIALECT)
        if found.bind_processor(_DIALECT) or found.result_processor(_DIALECT, None):
            raise TypeError(f"{type!r} is converted by SQLAlchemy: it cannot be prepared")


class Insertion(NamedTuple):
    """The INSERT of a table's columns that gives the whole row back."""

    prepared: Prepared
    defaults: dict[str, Callable[[], Any]]

    def run(self, connection: Connection, values: Values) -> Row:
        made = {name: make() for name, make in self.defaults.items()}
        return self.prepared.run(connection, {**made, **values})[0]


@cache
def insertion(table: Table, names: frozenset[str]) -> Insertion:
    """The INSERT of these columns, and of those that have a default of Python's.

    Raises TypeError for a column that the table does not have, or a default that is SQL.
    """
    if unknown := names - set(table.c.keys()):
        raise TypeError(f"{table.name} has no column {', '.join(sorted(unknown))}")
    defaults = {c.name: _default(c.default) for c in table.c if c.default and c.name not in names}
    given = {name: table.c[name].type for name in (*defaults, *names)}
    statement = sql_insert(table).values({n: bindparam(n, type_=t) for n, t in given.items()})
    return Insertion(Prepared(statement.returning(*table.c)), defaults)


def _default(default: Any) -> Callable[[], Any]:
    if default.is_callable:
        return lambda: default.arg(None)
    if not default.is_scalar:
        raise TypeError(f"{default.column} has a default of the database's: add an object instead")
    return lambda: default.arg


def driver(connection: Connection) -> psycopg.Connection[Any]:
    """The connection below SQLAlchemy's."""
    return cast(psycopg.Connection[Any], connection.connection.driver_connection)


def is_gone(error: BaseException) -> bool:
    """Whether PostgreSQL says that the connection is no more, though it may look open still."""
    return getattr(error, "sqlstate", None) in GONE


def reraise(connection: Connection, error: psycopg.Error, sql: str) -> NoReturn:
    """Raise the driver's error as SQLAlchemy would have: a DBAPIError, without values.

    If the connection is lost, it and all older ones of its pool are given up. There is no public
    function for that; tests/test_rows.py would tell if this one changed.
    """
    connection._handle_dbapi_exception(error, sql, None, None, None)
