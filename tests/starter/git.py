"""Repositories of tests: git as somebody calls it who works there."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

WHO = {"user.name": "alice", "user.email": "alice@example.com"}


def git(folder: Path, *words: str) -> str:
    """What git prints. Raises AssertionError with what it says, if it fails."""
    ended = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, (words, ended.stdout, ended.stderr)
    return ended.stdout.strip()


def commit(folder: Path, message: str, changes: Mapping[str, str | None] = {}) -> str:
    """Write files, or delete those without a text, and commit all that there is; the commit."""
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch", "main")
        for name, value in WHO.items():
            git(folder, "config", name, value)
    for name, text in changes.items():
        path = folder / name
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")
