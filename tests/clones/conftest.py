"""Clones that the starter's commands are run in, as their owner does: by make."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.environment import ROOT
from starter import record
from starter.tree import Tree
from tests.children import surroundings
from tests.starter.git import commit
from tests.tracked import tracked

LIMIT = 3600  # seconds for all that is tested in a clone
SCHEMAS = f"{record.read(Tree(ROOT)).name.upper}_SCHEMAS"


class Clone:
    """A copy of this repository in a folder, with an environment that is set up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tracked(folder)
        commit(folder, "as cloned")
        for path in Path(sys.prefix).iterdir():
            (folder / ".venv").mkdir(exist_ok=True)
            (folder / ".venv" / path.name).symlink_to(path)
        stamp = folder / ".venv" / ".stamp"
        stamp.unlink(missing_ok=True)
        stamp.touch()

    def sh(self, line: str) -> "subprocess.CompletedProcess[str]":
        """Run a line of a shell, as it is typed."""
        given = {k: v for k, v in surroundings().items() if not k.startswith(("COV", "PYTEST"))}
        # The folder of schemas is named by a variable that has the product's name.
        name = record.read(Tree(self.folder)).name
        if SCHEMAS in given:
            given[f"{name.upper}_SCHEMAS"] = given[SCHEMAS]
        return subprocess.run(
            ["bash", "-euc", line],
            cwd=self.folder,
            env=given,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )

    def ok(self, line: str) -> str:
        """The same; what it prints. Raises AssertionError if it fails, and prints that then."""
        began = time.monotonic()
        ended = self.sh(line)
        print(f"{line}: {time.monotonic() - began:.0f} s")
        if ended.returncode != 0:
            print(ended.stdout, ended.stderr)
        assert ended.returncode == 0, line
        return ended.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")
