"""Repositories with revisions, for tests of what is found there."""

import subprocess
from pathlib import Path

from tests.previous.history import VERSIONS


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
