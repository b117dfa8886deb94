"""docs/migrations.md: its examples are linted, its job and its queries run, its commands exist."""

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import psycopg
import pytest
from flask import Flask
from sqlalchemy import text

from deploy.cli import parser
from deploy.migrations import advice
from service.db import session
from service.devservers import Postgres
from service.environment import ROOT
from service.migrations import MigrationError, migrate
from service.outbox import enqueue
from service.queue import job
from tests.conftest import make_settings
from tests.deploy.migrations.revision import refused
from tests.people import Person
from tests.working import work

PAGE = (ROOT / "docs" / "migrations.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
JOB = next(block for block in BLOCKS if block.startswith("# A job."))
REVISIONS = [block for block in BLOCKS if block != JOB]
ROWS = re.findall(r"^\| `(op\..*?)` \| ([\w-]+) \| (.*) \|$", PAGE, re.M)


@pytest.mark.parametrize("block", REVISIONS)
def test_what_is_shown_as_a_revision_is_not_refused(root: Path, block: str) -> None:
    assert refused(root, block) == []


def test_the_contract_is_refused_without_its_line(root: Path) -> None:
    (contract,) = (block for block in REVISIONS if block.startswith("# contract: "))
    assert [each.rule for each in refused(root, contract.partition("\n")[2])] == ["ban-drop-column"]


@pytest.mark.parametrize(("operation", "rule", "instead"), ROWS)
def test_what_the_table_says_is_refused_is_refused(
    root: Path, operation: str, rule: str, instead: str
) -> None:
    assert rule in {each.rule for each in refused(root, operation)}
    word = "contract" if rule in advice.BREAKS else f"lint allows {rule}"
    assert rule not in {each.rule for each in refused(root, f"# {word}: why\n{operation}")}
    if "contract" in instead:
        assert rule in advice.BREAKS


def test_the_table_has_every_row() -> None:
    assert len(ROWS) == PAGE.count("\n| `op.") > 15


@pytest.fixture
def jobs() -> Iterator[ModuleType]:
    module = ModuleType("service.page_jobs")
    vars(module).update(job=job, session=session, text=text, enqueue=enqueue)
    sys.modules[module.__name__] = module
    exec(JOB, vars(module))
    yield module
    del sys.modules[module.__name__]


def test_the_job_fills_what_is_there_and_then_ends(
    app: Flask, alice: Person, bob: Person, jobs: ModuleType
) -> None:
    with app.app_context():
        session.execute(text("ALTER TABLE users ADD COLUMN full_name varchar"))
        enqueue(session, jobs.fill_full_names)
        session.commit()
    assert [work(app), work(app), work(app)] == [1, 1, 0]
    with app.app_context():
        names = session.scalars(text("SELECT full_name FROM users ORDER BY email")).all()
    assert names == ["alice", "bob"]


def test_revisions_before_the_one_that_fails_stay(postgres: Postgres) -> None:
    url = postgres.create_database("half_migrated")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE jobs ()")
        with pytest.raises(MigrationError, match="a revision failed and was rolled back"):
            migrate(make_settings(url, "redis://127.0.0.1:1/0"))
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0003",)


def test_the_queries_run(app: Flask) -> None:
    (queries,) = re.findall(r"^```sql\n(.*?)^```", PAGE, re.M | re.S)
    with app.app_context():
        for query in re.sub(r"--.*", "", queries).split(";"):
            if query.strip():
                session.execute(text(query))


def test_the_commands_are_commands() -> None:
    commands = re.findall(r"^python -m deploy (.*?)(?:  #.*)?$", PAGE, re.M)
    assert [parser().parse_args(shlex.split(each)).since for each in commands] == [None, "v1.2"]
    for target in re.findall(r"^make ([\w-]+)", PAGE, re.M):
        assert f"\n{target}: " in (ROOT / "Makefile").read_text()
    for link in re.findall(r"\]\((?!https:)([^)#]+)", PAGE):
        assert (ROOT / "docs" / link).exists()


def test_what_migrate_says_is_quoted_as_it_says_it() -> None:
    source = (ROOT / "service" / "migrations.py").read_text()
    for said in (
        "a table stays in use by other transactions",
        "a revision failed and was rolled back: ",
        "another migration has been running for ",
        "the database is at revision ",
    ):
        assert said in PAGE and said in source
