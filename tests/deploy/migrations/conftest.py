"""A project without revisions."""

import shutil
from pathlib import Path

import pytest

from service.environment import ROOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "product"
    (found / "migrations" / "versions").mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", found)
    return found
