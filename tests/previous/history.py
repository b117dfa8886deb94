"""Which code served before this one: the last release, as git knows it."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

VERSIONS = "migrations/versions"
_REVISION = re.compile(r"^revision(?:: [^=]+)? = [\"'](\w+)", re.MULTILINE)


class NothingBefore(Exception):
    """There is no code before this one whose schema is another; why."""


class NotTold(Exception):
    """There may be, and git does not have it here; what to do."""


def previous(root: Path, named: str | None = None) -> str:
    """The commit or tag: the one that is named, the last release, or, where nobody tags, the last
    commit that lacks a revision. Raises NothingBefore, and NotTold.

    Code with a revision that is here no more is no release before this one: what such a revision
    makes, as the sample's does, this code's own databases never had.
    """
    if named:
        if git(root, "rev-parse", "--verify", "--quiet", f"{named}^{{commit}}") is None:
            raise NotTold(f"PREVIOUS={named} is no commit here")
        return named
    if git(root, "rev-parse", "--is-inside-work-tree") is None:
        raise NothingBefore(f"{root} is in no git repository")
    own = {name for path in (root / VERSIONS).glob("*.py") for name in revisions(path.read_text())}
    if tag := last_release(root):
        if own <= revisions_at(root, tag):
            raise NothingBefore(f"{tag}, the last release, has all revisions of this code")
        return _unless_taken_out(root, tag, own)
    for commit in candidates(root):
        if not own <= revisions_at(root, commit):
            return _unless_taken_out(root, commit, own)
    if git(root, "rev-parse", "--is-shallow-repository") == "true":
        raise NotTold("this clone has not its whole history: git fetch --unshallow --tags")
    raise NothingBefore("no commit before lacks a revision of this code")


def _unless_taken_out(root: Path, commit: str, own: set[str]) -> str:
    if gone := sorted(revisions_at(root, commit) - own):
        raise NothingBefore(f"{commit} has revisions that were taken out: {', '.join(gone)}")
    return commit


def last_release(root: Path) -> str | None:
    """The last tag of a version before what is here: v1.2.3."""
    here = (git(root, "tag", "--points-at", "HEAD") or "").split()
    without = (f"--exclude={tag}" for tag in here)
    return git(root, "describe", "--tags", "--abbrev=0", "--match=v[0-9]*", *without)


def candidates(root: Path) -> Iterator[str]:
    """The newest first: HEAD, for who has not committed yet, and what was there before each change
    of the revisions; while there were any."""
    yield "HEAD"
    found = git(root, "log", "--first-parent", "--format=%P", "--", VERSIONS) or ""
    for parents in found.splitlines():
        if parents and revisions_at(root, first := parents.split()[0]):
            yield first


def revisions_at(root: Path, commit: str) -> set[str]:
    """Those that a commit has."""
    return revisions(git(root, "grep", "-h", "^revision", commit, "--", VERSIONS) or "")


def revisions(source: str) -> set[str]:
    return set(_REVISION.findall(source))


def git(root: Path, *words: str) -> str | None:
    """What git says; None if it fails, as it does where there is nothing."""
    ended = subprocess.run(
        ["git", *words], cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    return ended.stdout.strip() if ended.returncode == 0 else None
