"""Revisions: what is read of them, and how a schema compares to those of the code."""

import pytest

from service.migrations import MigrationError, compare, read


def source(revision: str, down: str | None) -> str:
    return f'revision = "{revision}"\ndown_revision = {down and repr(down)}\n'


MERGE = "revision = '4'\ndown_revision: str | None = ('2', '3')\n"  # as `alembic merge` writes it


@pytest.mark.parametrize(
    ("sources", "revisions", "head"),
    [
        ([], [], None),
        ([source("1", None)], ["1"], "1"),
        ([source("2", "1"), source("1", None)], ["1", "2"], "2"),
        (
            [source("1", None), source("2", "1"), source("3", "1"), MERGE],
            ["1", "2", "3", "4"],
            "4",
        ),
        (['revision: str = "1"\ndown_revision: str | None = None\n'], ["1"], "1"),
    ],
)
def test_the_code_knows_its_revisions(
    sources: list[str], revisions: list[str], head: str | None
) -> None:
    assert read(sources) == (frozenset(revisions), head)


def test_two_heads_are_refused() -> None:
    sources = [source("1", None), source("2", "1"), source("3", "1")]
    with pytest.raises(MigrationError, match="two heads, 2 and 3: run `alembic merge`"):
        read(sources)


@pytest.mark.parametrize(
    ("found", "state"),
    [(None, "behind"), ("1", "behind"), ("2", "current"), ("from_tomorrow", "ahead")],
)
def test_a_schema_is_compared_to_the_code(found: str | None, state: str) -> None:
    assert compare(found, (frozenset("12"), "2")) == state


@pytest.mark.parametrize(
    ("passed", "state"),
    [("123", "ahead"), ("13", "diverged"), ("1", "ahead"), ("", "ahead")],
)
def test_a_revision_unknown_to_the_code_is_compared_by_what_came_before_it(
    passed: str, state: str
) -> None:
    """Where that was not written down, or is older than the schema, nobody is stopped for it."""
    assert compare("3", (frozenset("12"), "2"), frozenset(passed)) == state
