"""The release before serves while the revisions of this one run, and again after a rollback: its
own tests pass on the new schema. `PREVIOUS=v1.2 make test-previous` names another than the last."""

import shutil
from pathlib import Path

import pytest

from service.environment import ROOT, environment
from service.migrations import known
from tests.previous.history import VERSIONS, NothingBefore, previous
from tests.previous.tree import Outcome, add_revisions, blamed, check_out, copy, run, telling

REVISION = '''"""What comes next."""

import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{down}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    {upgrade}
'''
EXPAND = """
    op.create_table("teams", sa.Column("id", sa.Uuid(), primary_key=True))
    op.add_column("users", sa.Column("team_id", sa.Uuid()))
    op.add_column("users", sa.Column("mood", sa.Text(), server_default="so-so", nullable=False))
"""


def test_the_release_before_passes_its_own_tests_on_this_schema(tmp_path: Path) -> None:
    try:
        before = previous(ROOT, environment().get("PREVIOUS"))
    except NothingBefore as nothing:
        pytest.skip(str(nothing))
    tree = check_out(before, tmp_path / "new")
    add_revisions(tree, ROOT)
    outcome = run(tree, telling(tree))
    broken, anyway = blamed(outcome, before, tmp_path / "own")
    print(f"{before} on the schema of this code: {outcome.passed} tests passed")
    print(
        "".join(f"fails with its own schema too, so it tells nothing: {each}\n" for each in anyway)
    )
    names = "\n".join(broken)
    said = f"the revisions of this code break {before}:\n{names}\n{outcome.said[-5000:]}"
    assert not broken, said
    assert outcome.passed > 0


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """This code, as if it were the release before."""
    return copy(tmp_path / "code")


def on_schema(code: Path, folder: Path, upgrade: str) -> Outcome:
    """Its users' tests, with one revision more."""
    shutil.copytree(ROOT / VERSIONS, folder / VERSIONS)
    source = REVISION.format(down=known()[1], upgrade=upgrade.strip())
    (folder / VERSIONS / "next.py").write_text(source)
    add_revisions(code, folder)
    return run(code, ["tests/users/test_users.py"])


def test_code_passes_on_a_schema_that_was_expanded(code: Path, tmp_path: Path) -> None:
    outcome = on_schema(code, tmp_path / "next", EXPAND)
    assert outcome.failed == [], outcome.said
    assert outcome.passed > 5


def test_a_column_that_was_dropped_too_soon_fails_the_tests_that_need_it(
    code: Path, tmp_path: Path
) -> None:
    """The control."""
    outcome = on_schema(code, tmp_path / "next", 'op.drop_column("users", "name")')
    assert (
        "tests/users/test_users.py::test_the_own_account_is_shown_and_renamed" in outcome.failed
    ), outcome.failed
    assert 'column "name" of relation "users" does not exist' in outcome.said
