"""Which code is compared with: the last release, a named one, what lacks a revision, or none."""

from pathlib import Path

import pytest

from tests.previous.history import NothingBefore, NotTold, previous
from tests.previous.repository import commit, git, write


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
    with pytest.raises(NothingBefore, match="has revisions that were taken out: 1"):
        previous(root)


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
