"""Migrations: every revision up and down, `migrate` from many places, what stands in its way."""

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import Connection, NullPool, create_engine, text

from service import migrations
from service.devservers import Postgres
from service.environment import ROOT
from service.migrations import MigrationError, migrate
from service.settings import Settings
from tests.children import surroundings
from tests.conftest import FAST, JWT_SECRET, make_settings
from tests.logged import logged
from tests.ports import free_port
from tests.waiting import until

CONFIG = Config(toml_file=ROOT / "pyproject.toml")
REVISIONS = [each.revision for each in ScriptDirectory.from_config(CONFIG).walk_revisions()][::-1]
NO_REDIS = "redis://127.0.0.1:1/0"

# All that a revision may make: columns, constraints, indexes.
CATALOG = """
SELECT table_name || '.' || column_name, concat(data_type, is_nullable, column_default)
  FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
  WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
UNION ALL SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
"""


@pytest.fixture(autouse=True)
def fresh_log() -> None:
    """A logger keeps the configuration it was first used with, which may be another test's."""
    vars(migrations.log).pop("bind", None)


@pytest.fixture
def empty(postgres: Postgres) -> Settings:
    """Settings of a database of the test's own, with nothing in it."""
    return make_settings(postgres.create_database(f"migrate_{uuid4().hex}"), NO_REDIS)


@pytest.fixture
def connection(empty: Settings) -> Iterator[Connection]:
    engine = create_engine(empty.database_url.get_secret_value(), poolclass=NullPool)
    with engine.connect() as opened:
        CONFIG.attributes["connection"] = opened
        yield opened


def catalog(connection: Connection) -> set[tuple[str, str]]:
    found = {(name, definition) for name, definition in connection.execute(text(CATALOG))}
    connection.commit()
    return {row for row in found if "alembic_version" not in row[0]}


def test_every_revision_goes_up_down_and_up_again(connection: Connection) -> None:
    before = catalog(connection)
    for revision in REVISIONS:
        command.upgrade(CONFIG, revision)
        after = catalog(connection)
        assert after != before
        command.downgrade(CONFIG, "-1")
        assert catalog(connection) == before
        command.upgrade(CONFIG, revision)
        assert catalog(connection) == after
        before = after


def test_the_models_are_what_the_revisions_make(connection: Connection) -> None:
    command.upgrade(CONFIG, "head")
    command.check(CONFIG)


def test_constraints_are_named_by_the_convention(connection: Connection) -> None:
    """As `Model` names them: a revision that leaves a name out gets PostgreSQL's."""
    command.upgrade(CONFIG, "head")
    names = {name for name, _ in catalog(connection) if "." not in name}
    assert len(names) > len(REVISIONS)
    assert [name for name in names if not re.match(r"(ix|uq|ck|fk|pk)_[a-z]", name)] == []


def run_migrate(settings: Settings, *more: str) -> "subprocess.Popen[str]":
    env = surroundings() | {
        "APP_ENV": "test",
        "LOG_FORMAT": "json",
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": NO_REDIS,
        "JWT_SECRET": JWT_SECRET,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "service", "migrate", *more],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_what_it_would_run_is_listed_in_its_order(empty: Settings, connection: Connection) -> None:
    assert migrations.pending(empty) == REVISIONS
    command.upgrade(CONFIG, REVISIONS[1])
    assert migrations.pending(empty) == REVISIONS[2:]
    listing = run_migrate(empty, "--pending")
    assert listing.communicate(timeout=60)[0].split() == REVISIONS[2:]
    assert listing.returncode == 0
    assert migrations.inspect(empty)[0] == REVISIONS[1]  # nothing was run
    command.upgrade(CONFIG, "head")
    assert migrations.pending(empty) == []
    connection.execute(text("UPDATE alembic_version SET version_num = 'from_tomorrow'"))
    connection.commit()
    assert migrations.pending(empty) == []


def test_four_at_once_migrate_once(empty: Settings) -> None:
    started = [run_migrate(empty) for _ in range(4)]
    outputs = [process.communicate(timeout=60)[0] for process in started]
    assert [process.returncode for process in started] == [0] * 4, outputs
    assert sum("schema migrated" in output for output in outputs) == 1
    assert sum("schema is up to date" in output for output in outputs) == 3


def test_a_schema_from_the_future_is_left_alone_with_a_warning(
    empty: Settings, connection: Connection
) -> None:
    """So that a release can be rolled back."""
    migrate(empty)
    connection.execute(text("UPDATE alembic_version SET version_num = 'from_tomorrow'"))
    connection.commit()
    with logged(migrations) as events:
        migrate(empty)
    assert [event["log_level"] for event in events] == ["warning"]
    assert events[0]["schema"] == "from_tomorrow"


@pytest.fixture
def sample_deleted(
    empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str | None], None]:
    """A database that went through all revisions, and a code that has lost the newest of them;
    with a new one instead, if it is named."""
    migrate(empty)

    def delete(new: str | None) -> None:
        left = [*REVISIONS[:-1], *filter(None, [new])]
        monkeypatch.setattr(migrations, "known", lambda: (frozenset(left), left[-1]))

    return delete


def test_a_code_that_the_database_has_outgrown_may_be_gone_back_to(
    empty: Settings, sample_deleted: Callable[[str | None], None]
) -> None:
    sample_deleted(None)
    assert migrations.inspect(empty) == (REVISIONS[-1], "ahead")
    assert migrations.pending(empty) == []
    migrate(empty)


@pytest.mark.parametrize("ask", [migrations.pending, migrate])
def test_a_new_revision_beside_one_that_is_gone_is_refused(
    empty: Settings,
    sample_deleted: Callable[[str | None], None],
    ask: Callable[[Settings], object],
) -> None:
    """And not passed over: the database would never have its tables."""
    sample_deleted("mine")
    assert migrations.inspect(empty) == (REVISIONS[-1], "diverged")
    last = REVISIONS[-1]
    said = f"is at revision {last}, which .* never was at mine, .* Put {last} back"
    with pytest.raises(MigrationError, match=said):
        ask(empty)


def test_what_the_database_went_through_is_kept_when_the_code_loses_it(
    empty: Settings, connection: Connection
) -> None:
    command.upgrade(CONFIG, REVISIONS[0])
    connection.execute(text("COMMENT ON TABLE alembic_version IS 'lost_since'"))
    connection.commit()
    migrate(empty)
    assert migrations.lineage(connection) == {*REVISIONS, "lost_since"}


def test_a_wrong_password_is_said_at_once_and_not_shown(empty: Settings) -> None:
    url = empty.database_url.get_secret_value()
    wrong = url.replace(url.split(":")[2].split("@")[0], "very-wrong-password")
    process = run_migrate(empty.model_copy(update={"database_url": SecretStr(wrong)}))
    output, _ = process.communicate(timeout=30)  # less than its patience with others
    assert process.returncode == 1
    assert "migrate: the database cannot be reached:" in output
    assert "password authentication failed" in output
    assert "very-wrong-password" not in output
    assert "Traceback" not in output


def in_background(function: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    return thread


def test_it_waits_for_a_database_that_comes_up_late(folder: Path) -> None:
    server = Postgres(folder / "late", free_port(), options=FAST)
    with server:
        settings = make_settings(server.create_database("late"), NO_REDIS)
    with logged(migrations) as events:
        thread = in_background(migrate, settings)
        until(lambda: "waiting for the database" in [event["event"] for event in events])
        with server:
            thread.join()
    assert events[-1]["event"] == "schema migrated"


def test_a_table_in_use_is_tried_again(empty: Settings, connection: Connection) -> None:
    """It asks for its lock in short bites, so that nobody has to queue behind it."""
    command.upgrade(CONFIG, REVISIONS[REVISIONS.index("0006") - 1])  # which adds to `jobs`
    connection.execute(text("LOCK TABLE jobs IN ROW EXCLUSIVE MODE"))  # as a write does
    with logged(migrations) as events:
        thread = in_background(migrate, empty, "50ms")
        until(lambda: "a table is in use, trying again" in [event["event"] for event in events])
        connection.commit()
        thread.join()
    assert events[-1]["event"] == "schema migrated"
    assert migrations.inspect(empty) == (REVISIONS[-1], "current")


def test_a_revision_that_fails_is_rolled_back_and_named(
    empty: Settings, connection: Connection
) -> None:
    command.upgrade(CONFIG, REVISIONS[0])
    connection.execute(text("CREATE TABLE users ()"))
    connection.commit()
    with pytest.raises(MigrationError, match=r'"users" already exists .*CREATE TABLE users'):
        migrate(empty)
    assert migrations.inspect(empty) == (REVISIONS[0], "behind")
