"""How many connections all processes may open, and whether the database allows so many."""

import psycopg
import pytest

from service import budget
from service.devservers import Postgres
from service.settings import Settings
from tests.conftest import make_settings
from tests.serving import own_database


def fixed(settings: Settings, **changes: object) -> Settings:
    """As many processes on any machine."""
    numbers = {"web_concurrency": 2, "worker_concurrency": 4, "database_pool_max": 10}
    return settings.model_copy(update=numbers | changes)


def test_each_kind_of_process_is_counted(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert budget.run(fixed(settings), 1, 1, 1) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "web          1 ×   22 =    22   2 processes × (10 + 1 for health)"
    assert lines[1] == "next web     1 ×   22 =    22   beside it, while a release replaces it"
    assert lines[2] == "worker       1 ×    9 =     9   4 children × 2 + 1"
    assert lines[5] == "at most                    57"
    assert lines[6].startswith("the database allows")


def test_too_many_are_refused_with_what_would_do(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert budget.run(fixed(settings), 3, 1, 2) == 1
    out = capsys.readouterr().out
    allowed = budget.limit(settings)
    total = 2 * 3 * 22 + 9 + 4 + 2
    most = (allowed - 15) // (2 * 6) - 1
    assert f"{total - allowed} too many: DATABASE_POOL_MAX={most}, or fewer processes" in out
    assert budget.run(fixed(settings, database_pool_max=most), 3, 1, 2) == 0


def test_limits_of_the_role_and_the_database_count(postgres: Postgres) -> None:
    url = own_database(postgres)
    settings = make_settings(url, "redis://127.0.0.1:1/0")
    name = url.rpartition("/")[2].partition("?")[0]
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 17')
    assert budget.limit(settings) == 17


def test_a_database_that_is_down_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = make_settings("postgresql+psycopg://127.0.0.1:1/x", "redis://127.0.0.1:1/0")
    assert budget.run(fixed(nowhere), 1, 1, 1) == 1
    assert "the database was not asked: " in capsys.readouterr().out
