"""What `make check` finds: each of our own checks reports a tree that is wrong."""

from pathlib import Path

import pytest
from alembic.config import Config
from sqlalchemy import Column, Integer, Table

from deploy.readiness.locks import problems
from service.db import Model
from service.devservers import Postgres
from service.environment import ROOT
from tests.check import CHECKS, OURS, differences, endings

PROJECT = """
[project]
dependencies = ["flask>=3.1"]
[dependency-groups]
dev = ["pytest>=9"]
bench = ["django>=5.2"]
"""
HASH = f" \\\n    --hash=sha256:{'0' * 64}\n"
FLASK, PYTEST = f"flask==3.1.3{HASH}", f"pytest==9.0{HASH}"
DJANGO = f"django==5.2{HASH}"


@pytest.mark.parametrize(
    ("users", "makers", "peers", "said"),
    [
        (FLASK, FLASK + PYTEST, DJANGO, []),
        (PYTEST, FLASK + PYTEST, DJANGO, ["requirements.txt has flask None, wanted is flask>=3.1"]),
        (FLASK.replace("3.1.3", "3.0.1"), FLASK + PYTEST, DJANGO, ["flask 3.0.1", "flask 3.1.3"]),
        (FLASK, FLASK, DJANGO, ["requirements-dev.txt has pytest None"]),
        (FLASK + "click==8.1\n", FLASK + PYTEST, DJANGO, ["lines without a version and hashes"]),
        (f"--pre https://x.test\n{FLASK}", FLASK + PYTEST, DJANGO, ["has an address or an option"]),
        (FLASK, FLASK + PYTEST, FLASK, ["bench/requirements.txt has django None"]),
        (
            *(FLASK, FLASK + PYTEST, DJANGO + FLASK.replace("3.1.3", "3.1.2")),
            ["has flask 3.1.3, bench/requirements.txt 3.1.2"],
        ),
        (FLASK, FLASK + PYTEST, DJANGO + "click==8.1\n", ["lines without a version and hashes"]),
    ],
)
def test_a_lock_file_that_is_out_of_step_is_reported(
    tmp_path: Path, users: str, makers: str, peers: str, said: list[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "requirements.txt").write_text(users)
    (tmp_path / "requirements-dev.txt").write_text(makers)
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "requirements.txt").write_text(peers)
    found = list(problems(tmp_path))
    assert len(found) == len(said)
    assert all(part in problem for part, problem in zip(said, found, strict=True))


def test_a_model_without_its_revision_is_reported(postgres: Postgres) -> None:
    url = postgres.create_database("differences")
    table = Table("forgotten", Model.metadata, Column("id", Integer, primary_key=True))
    try:
        config = Config(toml_file=ROOT / "pyproject.toml")
        assert "forgotten" in "".join(differences(config, url))
    finally:
        Model.metadata.remove(table)


def test_other_line_ends_are_reported(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_bytes(b"one\ntwo\n")
    (tmp_path / "picture.png").write_bytes(b"\0\r\n")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "theirs.txt").write_bytes(b"\r\n")
    (tmp_path / "windows.txt").write_bytes(b"one\r\n")
    (tmp_path / "open.txt").write_bytes(b"one")
    found = [problem.partition(":")[0] for problem in endings(tmp_path)]
    assert found == [str(tmp_path / "open.txt"), str(tmp_path / "windows.txt")]


def test_every_check_of_our_own_is_run() -> None:
    assert {command[-1] for command in CHECKS.values() if "tests.check" in command} == set(OURS)
