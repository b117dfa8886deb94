"""Old code beside new revisions: a tree whose tests make their databases with both."""

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from service.environment import ROOT
from tests.children import surroundings
from tests.previous.history import VERSIONS, revisions

# Beside those of the features: what the service does to tables of its own.
CHASSIS = ("idempotency", "outbox", "effects", "recurring")
NOT_OURS = ("PYTEST_", "COV_", "COVERAGE_")  # of this pytest, in the environment


class Outcome(NamedTuple):
    """How many tests passed, which did not, and what pytest said of them."""

    passed: int
    failed: list[str]
    said: str


def check_out(commit: str, folder: Path, root: Path = ROOT) -> Path:
    packed = subprocess.run(
        ["git", "archive", "--format=tar", commit], cwd=root, check=True, capture_output=True
    )
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def copy(folder: Path, root: Path = ROOT) -> Path:
    """This code, as it is here."""
    for name in ("service", "migrations", "tests"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "gunicorn.conf.py"):
        shutil.copy(root / name, folder)
    return folder


def add_revisions(tree: Path, newer: Path) -> None:
    """Those of newer code. One that only the tree has stays: the databases have it too."""
    sources = [path.read_text() for path in sorted((newer / VERSIONS).glob("*.py"))]
    names = {name for source in sources for name in revisions(source)}
    for path in (tree / VERSIONS).glob("*.py"):
        if revisions(path.read_text()) & names:
            path.unlink()
    for number, source in enumerate(sources):
        (tree / VERSIONS / f"newer_{number}.py").write_text(source)


def telling(tree: Path) -> list[str]:
    """Its tests of what it reads and writes: those of the features, and of the chassis' tables."""
    features = sorted(path.parent.name for path in (tree / "service").glob("*/routes.py"))
    names = [*features, *(f"test_{name}.py" for name in CHASSIS)]
    return [f"tests/{name}" for name in names if (tree / "tests" / name).exists()]


def run(tree: Path, tests: Sequence[str]) -> Outcome:
    """Raises AssertionError if there is no result."""
    report = tree / "report.xml"
    report.unlink(missing_ok=True)
    options = ("-p", "no:randomly", "-p", "no:cacheprovider", "--tb=short", f"--junitxml={report}")
    kept = {k: v for k, v in surroundings().items() if not k.startswith(NOT_OURS)}
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-o", "junit_family=xunit1", *tests],
        cwd=tree,
        env={name: value for name, value in kept.items() if name != "PYTHONPATH"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert ended.returncode in (0, 1), f"its tests cannot be run:\n{ended.stdout[-3000:]}"
    cases = list(ElementTree.parse(report).iter("testcase"))
    failed = [
        f"{case.get('file')}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]
    skipped = sum(case.find("skipped") is not None for case in cases)
    return Outcome(len(cases) - len(set(failed)) - skipped, sorted(set(failed)), ended.stdout)


def blamed(
    outcome: Outcome, before: str, folder: Path, root: Path = ROOT
) -> tuple[list[str], list[str]]:
    """Of the tests that failed on the new schema: those that it broke, and those that fail with
    their own schema too, as a newer dependency would have it."""
    if not outcome.failed:
        return [], []
    tree = check_out(before, folder, root)
    own = run(tree, telling(tree))  # all, since one may fail for what another left behind
    anyway = set(own.failed) & set(outcome.failed)
    return sorted(set(outcome.failed) - anyway), sorted(anyway)
