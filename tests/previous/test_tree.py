"""A tree with old code and new revisions, and what its tests' failures mean."""

from pathlib import Path

import pytest

from tests.previous.history import VERSIONS
from tests.previous.repository import commit, write
from tests.previous.tree import add_revisions, blamed, check_out, run, telling

TESTS = """from pathlib import Path

def test_passes() -> None: ...
def test_needs_its_own_schema() -> None:
    assert len(list(Path("migrations/versions").iterdir())) == 1
def test_leaves_something() -> None:
    Path("left").touch()
def test_fails_for_what_was_left() -> None:
    assert not Path("left").exists()
"""


def feature(root: Path, tests: str) -> None:
    for name in ("tests/things/test_things.py", "service/things/routes.py"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(tests)


def test_a_schema_has_the_revisions_of_both(root: Path, tmp_path: Path) -> None:
    tree = check_out(commit(root, "1", "2"), tmp_path / "tree", root)
    newer = tmp_path / "newer"
    write(newer, "2", "3")  # 1 is gone there, but the databases have it
    (newer / VERSIONS / "2_things.py").rename(newer / VERSIONS / "2_renamed.py")
    add_revisions(tree, newer)
    found = sorted(path.read_text() for path in (tree / VERSIONS).glob("*.py"))
    assert found == [f'revision: str = "{name}"\n' for name in "123"]


def test_tests_that_cannot_be_run_are_no_result(tmp_path: Path) -> None:
    feature(tmp_path, "import nothing_of_this_name")
    assert telling(tmp_path) == ["tests/things"]
    with pytest.raises(AssertionError, match=r"cannot be run:[^$]*nothing_of_this_name"):
        run(tmp_path, telling(tmp_path))


def test_what_fails_with_its_own_schema_too_is_not_blamed_on_the_new_one(
    root: Path, tmp_path: Path
) -> None:
    feature(root, TESTS)
    before = commit(root, "1")
    write(root, "1", "2")
    tree = check_out(before, tmp_path / "tree", root)
    add_revisions(tree, root)
    outcome = run(tree, telling(tree))
    assert outcome.passed == 2
    broken, anyway = blamed(outcome, before, tmp_path / "own", root)
    assert broken == ["tests/things/test_things.py::test_needs_its_own_schema"]
    assert anyway == ["tests/things/test_things.py::test_fails_for_what_was_left"]
