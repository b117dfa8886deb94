"""PgBouncer in transaction mode before PostgreSQL, as many hosters have it."""

import os
import pwd
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import text

from service import migrations
from service.devservers import Postgres, Redis
from service.engine import make_engine
from service.launcher import spawn
from tests.chaos.load import Load, Record, figures
from tests.chaos.traffic import Traffic, assert_right_or_503
from tests.conftest import make_settings
from tests.ports import free_port
from tests.serving import Served, own_database
from tests.waiting import until

# Fewer connections to PostgreSQL than clients: each transaction gets another one.
SETTINGS = """
[databases]
* = host=127.0.0.1 port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = users.txt
pool_mode = transaction
default_pool_size = 4
"""


@pytest.fixture(scope="module")
def database_url(server: Postgres) -> str:
    return own_database(server)


@pytest.fixture(scope="module")
def pgbouncer(server: Postgres, database_url: str) -> Iterator[str]:
    """The URL of the database through PgBouncer."""
    listen, folder = free_port(), server.folder / "pgbouncer"
    folder.mkdir()
    (folder / "users.txt").write_text(f'"postgres" "{server.password}"\n')
    (folder / "pgbouncer.ini").write_text(SETTINGS.format(port=server.port, listen=listen))
    url = database_url.replace(f":{server.port}/", f":{listen}/")
    with (folder / "log").open("wb") as log:
        process = spawn([program(), "pgbouncer.ini"], account=nobody(), cwd=folder, stderr=log)
        until(lambda: accepts(url))
        yield url
        process.terminate()
        process.wait()


def program() -> str:
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, "PgBouncer is not installed: apt install pgbouncer, or brew install pgbouncer"
    return found


def nobody() -> tuple[int, int] | None:
    """Who it runs as if we are root, which it refuses."""
    found = pwd.getpwnam("nobody")
    return (found.pw_uid, found.pw_gid) if os.geteuid() == 0 else None


def accepts(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def test_it_works_without_prepared_statements(
    pgbouncer: str, database_url: str, redis_server: Redis, record_property: Record
) -> None:
    with Served(pgbouncer, redis_server.url, DATABASE_PREPARED_STATEMENTS="false") as served:
        load = mixed_load(served)
    assert figures(record_property, "without prepared statements", load.outcomes).total() == 0
    assert {outcome.status for outcome in load.outcomes} == {200, 201}
    assert_right_or_503(load.of("POST"), database_url)


def test_prepared_statements_fail(
    pgbouncer: str, redis_server: Redis, record_property: Record
) -> None:
    """The control."""
    with Served(pgbouncer, redis_server.url, DATABASE_PREPARED_STATEMENTS="true") as served:
        load = mixed_load(served)
    assert figures(record_property, "prepared statements", load.outcomes).total() > 0


def test_a_migration_leaves_nothing_behind_on_the_pooled_connections(
    pgbouncer: str, server: Postgres
) -> None:
    fresh = server.create_database("migrated_by_the_pool")
    through = fresh.replace(f":{server.port}/", f":{urlsplit(pgbouncer).port}/")
    settings = make_settings(through, "redis://127.0.0.1:1/0", database_prepared_statements=False)
    for _ in range(2):
        migrations.migrate(settings)
    with psycopg.connect(fresh) as connection:
        locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        assert connection.execute(locks).fetchone() == (0,)


def test_a_connection_sets_nothing_that_others_would_get(pgbouncer: str, server: Postgres) -> None:
    """On a database of its own, which has a pool of its own: other tests do set something."""
    server.create_database("nothing_is_set")
    through = f"{pgbouncer.rpartition('/')[0]}/nothing_is_set"
    settings = make_settings(
        through.replace("postgresql:", "postgresql+psycopg:"),
        "redis://127.0.0.1:1/0",
        database_prepared_statements=False,
        database_statement_timeout="2s",
    )
    engine = make_engine(settings.database_url, settings, "test")
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(engine.connect()).execute(text("SELECT 1"))
    engine.dispose()
    for _ in range(8):
        with psycopg.connect(through) as other:
            assert other.execute("SHOW statement_timeout").fetchone() == ("0",)


def mixed_load(served: Served) -> Load:
    traffic = Traffic(served)
    makers = [traffic.index, traffic.show, traffic.create, traffic.update]
    with Load(served.port, *makers) as load:
        load.wait_for_more(1000)
    return load
