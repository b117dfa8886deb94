"""A repository without a commit."""

from pathlib import Path

import pytest

from tests.previous.repository import git


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "product"
    found.mkdir()
    git(found, "init", "--quiet")
    return found
