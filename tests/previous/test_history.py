"""Which code is compared with: the last release, a named one, what lacks a revision, or none."""

import subprocess
from pathlib import Path

import pytest

from tests.previous.history import VERSIONS, NothingBefore, NotTold, previous
from tests.previous.tree import add_revisions, check_out, run, telling


def git(root: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    command = ["git", *identity, "-c", "protocol.file.allow=always", *words]
    return subprocess.run(
        command, cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()


def write(root: Path, *names: str) -> None:
    """These revisions, and no others."""
    (root / VERSIONS).mkdir(parents=True, exist_ok=True)
    for path in (root / VERSIONS).glob("*.py"):
        path.unlink()
    for name in names:
        (root / VERSIONS / f"{name}_things.py").write_text(f'revision: str = "{name}"\n')


def commit(root: Path, *names: str, tag: str | None = None) -> str:
    write(root, *names)
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "more")
    if tag:
        git(root, "tag", tag)
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "product"
    found.mkdir()
    git(found, "init", "--quiet")
    return found


def test_the_last_release_is_the_last_tag_of_a_version(root: Path) -> None:
    commit(root, "1", tag="v1.0")
    commit(root, "1", "2", tag="v1.1")
    commit(root, "1", "2", tag="demo")
    commit(root, "1", "2", "3")
    assert previous(root) == "v1.1"
    git(root, "tag", "v1.2")
    assert previous(root) == "v1.1"  # v1.2 is what is here


def test_a_release_with_all_revisions_is_nothing_to_compare_with(root: Path) -> None:
    commit(root, "1", tag="v1.0")
    commit(root, "1")
    with pytest.raises(NothingBefore, match=r"v1\.0, the last release, has all revisions"):
        previous(root)


def test_without_releases_it_is_the_last_commit_that_lacks_a_revision(root: Path) -> None:
    commit(root, "1")
    lacks = commit(root, "1")
    commit(root, "1", "2")
    commit(root, "1", "2")
    assert previous(root) == lacks
    write(root, "1", "2", "3")  # not yet committed
    assert previous(root) == "HEAD"
    write(root, "2")  # as when the sample is removed
    assert previous(root) == lacks


def test_a_branch_that_was_merged_is_looked_at_as_one_change(root: Path) -> None:
    main = commit(root, "1")
    git(root, "checkout", "--quiet", "-b", "side")
    commit(root, "1", "2")
    commit(root, "1", "2", "3")
    git(root, "checkout", "--quiet", "-")
    git(root, "merge", "--quiet", "--no-ff", "side")
    assert previous(root) == main


def test_a_named_one_is_taken(root: Path) -> None:
    first = commit(root, "1", tag="v1.0")
    commit(root, "1", "2", tag="v1.1")
    assert previous(root, "v1.0") == "v1.0"
    assert previous(root, first[:10]) == first[:10]
    with pytest.raises(NotTold, match="PREVIOUS=v9 is no commit here"):
        previous(root, "v9")


def test_a_history_of_one_commit_has_nothing_before(root: Path) -> None:
    commit(root, "1")
    with pytest.raises(NothingBefore, match="no commit before lacks a revision"):
        previous(root)


def test_a_folder_without_git_has_nothing_before(tmp_path: Path) -> None:
    write(tmp_path, "1")
    with pytest.raises(NothingBefore, match="is in no git repository"):
        previous(tmp_path)


def test_what_a_shallow_clone_does_not_have_is_not_taken_for_nothing(
    root: Path, tmp_path: Path
) -> None:
    commit(root, "1")
    commit(root, "1", "2")
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", root.as_uri(), str(shallow))
    with pytest.raises(NotTold, match="git fetch --unshallow --tags"):
        previous(shallow)
    git(shallow, "fetch", "--quiet", "--unshallow")
    assert previous(shallow) == git(root, "rev-parse", "HEAD^")


def test_a_schema_has_the_revisions_of_both(root: Path, tmp_path: Path) -> None:
    tree = check_out(commit(root, "1", "2"), tmp_path / "tree", root)
    newer = tmp_path / "newer"
    write(newer, "2", "3")  # 1 is gone there, but the databases have it
    (newer / VERSIONS / "2_things.py").rename(newer / VERSIONS / "2_renamed.py")
    add_revisions(tree, newer)
    found = sorted(path.read_text() for path in (tree / VERSIONS).glob("*.py"))
    assert found == [f'revision: str = "{name}"\n' for name in "123"]


def test_tests_that_cannot_be_run_are_no_result(tmp_path: Path) -> None:
    for name in ("tests/things/test_things.py", "service/things/routes.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("import nothing_of_this_name\n")
    assert telling(tmp_path) == ["tests/things"]
    with pytest.raises(AssertionError, match=r"cannot be run:[^$]*nothing_of_this_name"):
        run(tmp_path, telling(tmp_path))
