"""This repository as somebody has it who has just cloned it."""

from collections.abc import Iterator

import pytest

from starter.repository import Repository
from starter.tree import Tree
from tests.starter.git import commit
from tests.tracked import tracked
from tests.uncovered import uncovered

__all__ = ["uncovered"]  # a fixture


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """For all tests: nobody changes it."""
    folder = tmp_path_factory.mktemp("clone")
    tracked(folder)
    commit(folder, "as cloned")
    return Repository(folder)


@pytest.fixture
def tree(clone: Repository) -> Iterator[Tree]:
    """Its files, to be changed."""
    with clone.tree() as found:
        yield found


@pytest.fixture
def seen(clone: Repository) -> Tree:
    """Its files, to be looked at: for what is refused."""
    return Tree(clone.root)
