"""PostgreSQL's own programs: how they are told where the database is, and asked. A password goes
by the environment, never by the command line, which everybody on the machine can read."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from deploy.shell import CommandFailed, Failed
from deploy.vps.host import envfile, surroundings
from deploy.vps.host.layout import Host
from deploy.vps.host.runner import Talk

CONNECT_TIMEOUT = 5  # seconds
# What libpq reads of a URL's query; the rest (application_name …) is not needed here.
_QUERY = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "channel_binding": "PGCHANNELBINDING",
}
# A table's name and how many rows it has, of each table.
COUNTS = (
    "SELECT format('SELECT %L, count(*) FROM %I.%I', c.oid::regclass, n.nspname, c.relname)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
    " AND n.nspname NOT LIKE 'pg\\_toast%' ORDER BY 1 \\gexec"
)
REVISION = (
    "SELECT CASE WHEN to_regclass('alembic_version') IS NULL THEN 'SELECT NULL'"
    " ELSE 'SELECT version_num FROM alembic_version' END \\gexec"
)
SIZE = "SELECT pg_database_size(current_database());"
# The role's own limits (role.sql) are for what somebody has forgotten, not for counting a large
# table. pg_dump and pg_restore lift them by themselves.
UNLIMITED = ("SET statement_timeout = 0;", "SET lock_timeout = 0;")


def connection(url: str) -> dict[str, str]:
    """libpq's variables for a URL in any of the spellings that the service takes. Raises
    Failed, without the URL: it holds a password."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise Failed("DATABASE_URL is no URL") from None
    if parts.scheme not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise Failed("DATABASE_URL does not begin with postgresql://")
    found = {
        "PGHOST": unquote(parts.hostname or ""),
        "PGPORT": str(port or ""),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.strip("/")),
    }
    found |= {_QUERY[name]: text for name, text in parse_qsl(parts.query) if name in _QUERY}
    found = {name: text for name, text in found.items() if text}
    return found | {"PGCONNECT_TIMEOUT": str(CONNECT_TIMEOUT)}


def of(variables: Path) -> dict[str, str]:
    """For the database that a .env names. Raises Failed."""
    try:
        found = envfile.values(variables.read_text())
        url = found.get("DATABASE_URL") or Path(found["DATABASE_URL_FILE"]).read_text()
    except KeyError:
        raise Failed(f"{variables} has no DATABASE_URL") from None
    except OSError as error:
        raise Failed(f"{error.filename} cannot be read: {error.strerror}") from None
    return connection(url)


def environment(told: Mapping[str, str]) -> dict[str, str]:
    return surroundings.clean() | dict(told)


def psql(*words: str) -> list[str]:
    """Without anybody's .psqlrc, rows as bare text, and ended by the first error."""
    return ["psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", *words]


def dump(file: Path, snapshot: str) -> list[str]:
    """Owners and rights are left out: it is restored as who owns the database."""
    words = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"]
    return ["pg_dump", "--no-password", *words, f"--file={file}"]


def restore(file: Path, database: str) -> list[str]:
    words = ["--no-owner", "--no-privileges", "--exit-on-error", f"--dbname={database}"]
    return ["pg_restore", "--no-password", *words, str(file)]


def explained(failure: CommandFailed) -> Failed:
    """What PostgreSQL's programs say of the wrong version is a riddle."""
    versions = r"server version: (\d+)[^;]*; pg_dump version: (\d+)"
    if found := re.search(versions, failure.said):
        return Failed(
            f"pg_dump here is version {found[2]} and the database {found[1]}: a dump needs that"
            f" one or newer (apt install postgresql-client-{found[1]})"
        )
    return failure


@contextmanager
def session(host: Host, told: Mapping[str, str]) -> Iterator[Talk]:
    """A psql that is kept open, and has all the time that it needs: its transaction holds the
    snapshot while a dump is made. Raises Failed if there is none here."""
    with host.runner.talk(psql("-w"), environment(told)) as talk:
        talk.ask(*UNLIMITED)
        yield talk


def counts(rows: list[list[str]]) -> dict[str, int]:
    return {name: int(number) for name, number in rows}


def databases(host: Host, told: Mapping[str, str], prefix: str) -> list[str]:
    """Those whose names begin so; asked in `postgres`, since ours may be gone. Raises Failed."""
    query = f"SELECT datname FROM pg_database WHERE starts_with(datname, '{prefix}') ORDER BY 1"  # noqa: S608 (ours)
    return _asked(host, told, query)


def size(host: Host, told: Mapping[str, str]) -> int:
    """Bytes of the live database; 0 if it is gone. Raises Failed."""
    query = "SELECT pg_database_size(oid) FROM pg_database WHERE datname = 'slipway'"
    return sum(map(int, _asked(host, told, query)))


def _asked(host: Host, told: Mapping[str, str], query: str) -> list[str]:
    given = {**told, "PGDATABASE": "postgres"}
    words = [word for each in (*UNLIMITED, query) for word in ("-c", each)]
    return host.runner.run(psql("-w", *words), env=environment(given)).split()
