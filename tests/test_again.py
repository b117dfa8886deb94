"""A second try is for what chance has failed: not for what fails again, or fails everywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.environment import ROOT

PASSES = "def test_it():\n    pass\n"
FAILS = "def test_it():\n    assert False\n"
FAILS_ONCE = """
from pathlib import Path
def test_it():
    tried = Path("tried")
    if not tried.exists():
        tried.touch()
        assert False
"""
ENDS_IT = "import pytest\ndef test_it():\n    pytest.exit('no more', 3)\n"


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """pytest there, as `.ci/run` has it."""
    # Not what this run counts, and tells its own processes.
    ours = {name: text for name, text in os.environ.items() if not name.startswith(("PY", "COV"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:randomly", *words],
        cwd=folder,
        env=ours | {"PYTHONPATH": str(ROOT), "PYTEST_PLUGINS": "tests.again"},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("processes", [[], ["--numprocesses", "2"]])
@pytest.mark.parametrize(
    ("files", "code", "last"),
    [
        ([FAILS_ONCE, PASSES], 0, "PASSED AT THE SECOND TRY ONLY:\ntest_0.py::test_it"),
        ([FAILS_ONCE, FAILS], 1, "1 failed, 1 passed"),
        ([FAILS] * 4, 1, "4 failed"),
        ([PASSES], 0, "1 passed"),
    ],
)
def test_what_is_tried_again(
    tmp_path: Path, files: list[str], code: int, last: str, processes: list[str]
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    for number, text in enumerate(files):
        (tmp_path / f"test_{number}.py").write_text(text)
    ended = run(tmp_path, *processes)
    assert (ended.returncode, last in ended.stdout[-200:]) == (code, True), ended.stdout
    assert ("tried again" in ended.stdout) == (FAILS_ONCE in files)
    assert ended.stdout.count("test session starts") == 1 + (FAILS_ONCE in files)


def test_what_ended_before_its_end_is_not_tried_again(tmp_path: Path) -> None:
    for number, text in enumerate([FAILS_ONCE, ENDS_IT, PASSES]):
        (tmp_path / f"test_{number}.py").write_text(text)
    ended = run(tmp_path)
    assert (ended.returncode, "tried again" in ended.stdout) == (3, False), ended.stdout
