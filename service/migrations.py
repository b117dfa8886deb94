"""Migrations: what `python -m service migrate` does, and how the schema compares to the code.

Nothing to change here; revisions are in migrations/versions, settings in [tool.alembic].
"""

import re
import time
from collections.abc import Iterable
from functools import cache, partial
from typing import Any, Literal

import structlog
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

from service.connections import is_hopeless
from service.environment import ROOT
from service.settings import Settings

log = structlog.get_logger()

State = Literal["current", "behind", "ahead", "diverged"]
Known = tuple[frozenset[str], str | None]

LOCK = 0x736C6970  # the key of the advisory lock: "slip" in ASCII, the same for all versions
PATIENCE = 60  # seconds to wait for a database that is not there yet
LOCK_PATIENCE = 900  # seconds to wait for a migration that runs elsewhere
LOCK_TIMEOUT = "5s"  # a migration that waits for a table makes all others wait behind it
LOCK_TRIES = 12
STATEMENT_TIMEOUT = "15min"
DELETED = "a revision was deleted? `rm -rf .dev` begins anew"

_REVISION = re.compile(r"^revision(?:: [^=]+)? = (.+)$", re.MULTILINE)
_DOWN = re.compile(r"^down_revision(?:: [^=]+)? = (.+)$", re.MULTILINE)
_NAME = re.compile(r"[\"'](\w+)[\"']")  # of a merge there are several


class MigrationError(Exception):
    """The schema was not migrated; the message is for the operator's terminal."""


@cache
def known() -> Known:
    """The code's revisions and its newest. Raises MigrationError."""
    return read(path.read_text() for path in (ROOT / "migrations" / "versions").glob("*.py"))


def read(files: Iterable[str]) -> Known:
    """The revisions in these sources. Read as text: importing Alembic costs 0.3 s."""
    sources = list(files)
    revisions, parents = _names(_REVISION, sources), _names(_DOWN, sources)
    if len(heads := revisions - parents) > 1:
        names = " and ".join(sorted(heads))
        raise MigrationError(f"migrations/versions has two heads, {names}: run `alembic merge`")
    return frozenset(revisions), next(iter(heads), None)


def _names(line: re.Pattern[str], sources: Iterable[str]) -> set[str]:
    """The revisions that this line names in each source."""
    lines = (found[1] for source in sources if (found := line.search(source)))
    return {name for each in lines for name in _NAME.findall(each)}


def revision(connection: Any) -> str | None:
    """The revision of a database, by a psycopg or SQLAlchemy connection; None if it has none."""
    if not _value(connection, "SELECT to_regclass('alembic_version') IS NOT NULL"):
        return None
    found = _value(connection, "SELECT version_num FROM alembic_version")
    return str(found) if found else None


def lineage(connection: Any) -> frozenset[str]:
    """The revisions that the database went through, as `migrate` wrote them down beside its own;
    none where it did not."""
    query = "SELECT obj_description(to_regclass('alembic_version'), 'pg_class')"
    return frozenset(re.findall(r"\w+", _value(connection, query) or ""))


def _value(connection: Any, query: str) -> Any:
    """The first value of the first row; None without a row."""
    wrap = text if isinstance(connection, Connection) else str
    row = connection.execute(wrap(query)).fetchone()
    return row[0] if row else None


def state(connection: Any) -> State:
    """How the schema compares to the code."""
    found, code = revision(connection), known()
    is_known = found is None or found in code[0]
    return compare(found, code, frozenset() if is_known else lineage(connection))


def compare(found: str | None, code: Known, passed: frozenset[str] = frozenset()) -> State:
    """A revision that we do not know is from the future, and all is well after a rollback. But if
    the database never was where this code is, each has what the other lacks. `passed` says so only
    if it has `found`: Alembic by hand does not keep it."""
    revisions, head = code
    if found == head:
        return "current"
    if found is None or found in revisions:
        return "behind"
    return "diverged" if found in passed and head and head not in passed else "ahead"


def diverged(found: str | None) -> str:
    """What is where, and what to do, for the operator's terminal."""
    return (
        f"the database is at revision {found}, which this code does not have, and never was at"
        f" {known()[1]}, the code's newest. Put {found} back into migrations/versions and let"
        " yours go on from it (down_revision); if its tables are to go, add a revision that drops"
        " them"
    )


def inspect(settings: Settings) -> tuple[str | None, State]:
    """The revision of the database and how it compares. Raises OperationalError."""
    with _engine(settings).connect() as connection:
        return revision(connection), state(connection)


def pending(settings: Settings) -> list[str]:
    """The revisions that `migrate` would run, in their order. Raises OperationalError, and
    MigrationError where it would fail, so that a release ends before it begins."""
    found, state = inspect(settings)
    if state == "diverged":
        raise MigrationError(_refusal(settings, found))
    if state != "behind":
        return []
    from alembic.config import Config  # costs 0.3 s, which only a migration needs to pay
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(Config(toml_file=ROOT / "pyproject.toml"))
    each = scripts.iterate_revisions("heads", found or "base")
    return [str(revision.revision) for revision in each][::-1]


def migrate(settings: Settings, lock_timeout: str = LOCK_TIMEOUT) -> None:
    """Bring the schema up to the code. Safe to run from many places at once.

    Raises MigrationError if the database cannot be reached or has revisions of another code, a
    table stays locked or a revision fails, which is rolled back then.
    """
    known()
    engine = _engine(settings)
    _wait_for(engine)
    with engine.connect() as connection:
        _lock(connection)  # let go of when its transaction ends, whatever happens
        match state(connection):
            case "current":
                log.info("schema is up to date", revision=known()[1])
            case "ahead":
                log.warning(
                    "schema is newer than this code: nothing to migrate",
                    schema=revision(connection),
                    code=known()[1],
                    **({} if settings.is_production else {"hint": DELETED}),
                )
            case "diverged":
                raise MigrationError(_refusal(settings, revision(connection)))
            case "behind":
                _upgrade(engine, lock_timeout)
                log.info("schema migrated", revision=known()[1])


def _refusal(settings: Settings, found: str | None) -> str:
    return diverged(found) + ("" if settings.is_production else f" ({DELETED})")


def _engine(settings: Settings) -> Engine:
    url = make_url(settings.database_url.get_secret_value())
    arguments = {"application_name": "service migrate", "connect_timeout": 5}
    return create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=arguments)


def _wait_for(engine: Engine) -> None:
    give_up = time.monotonic() + PATIENCE
    pause = 0.2
    while True:
        try:
            engine.connect().close()
            return
        except OperationalError as error:
            reason = str(error.orig).strip()
            if time.monotonic() > give_up or is_hopeless(error):
                raise MigrationError(f"the database cannot be reached: {reason}") from error
            log.info("waiting for the database", reason=reason)
        time.sleep(pause)
        pause = min(pause * 2, 3)


def _lock(connection: Connection) -> None:
    """Hold the lock for as long as the connection's transaction lasts.

    A transaction's, not a session's: behind PgBouncer a session's would outlive us. It is polled
    for: blocking on it would deadlock with CREATE INDEX CONCURRENTLY.
    """
    give_up = time.monotonic() + LOCK_PATIENCE
    query = text("SELECT pg_try_advisory_xact_lock(:key)")
    while True:
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        if connection.execute(query, {"key": LOCK}).scalar_one():
            return
        connection.rollback()
        if time.monotonic() > give_up:
            raise MigrationError(f"another migration has been running for {LOCK_PATIENCE} s")
        log.info("waiting for a migration that runs elsewhere")
        time.sleep(1)


def _limit(lock_timeout: str, connection: Connection) -> None:
    """As the event `begin`. LOCAL, for the transaction: behind PgBouncer others get the rest."""
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{lock_timeout}'")
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")


def _upgrade(engine: Engine, lock_timeout: str) -> None:
    from alembic import command  # costs 0.3 s, which only a migration needs to pay
    from alembic.config import Config

    config = Config(toml_file=ROOT / "pyproject.toml")
    for tried in range(1, LOCK_TRIES + 1):
        with engine.connect() as connection:
            event.listen(connection, "begin", partial(_limit, lock_timeout))
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
                _write_lineage(connection)
                return
            except DBAPIError as error:
                blocked = getattr(error.orig, "sqlstate", None) == "55P03"
                if not blocked:
                    statement = " ".join((error.statement or "").split())
                    raise MigrationError(
                        f"a revision failed and was rolled back: {error.orig} [{statement}]"
                    ) from error
                if tried == LOCK_TRIES:
                    raise MigrationError("a table stays in use by other transactions") from error
                log.info("a table is in use, trying again", tried=tried)
        time.sleep(min(tried, 5))


def _write_lineage(connection: Connection) -> None:
    """Into the comment of Alembic's table, which a dump has too. What was there stays: a code that
    had it is still one to go back to."""
    revisions = sorted(known()[0] | lineage(connection))  # of letters, digits and _ alone
    connection.exec_driver_sql(f"COMMENT ON TABLE alembic_version IS '{' '.join(revisions)}'")
    connection.commit()
