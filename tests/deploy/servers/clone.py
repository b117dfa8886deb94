"""Somebody's clone of this repository, and the versions that they commit to it."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from service.environment import environment
from service.migrations import known
from tests.begun import begun
from tests.tracked import tracked

BROKEN_REVISION = (
    "from alembic import op\nrevision = 'broken'\ndown_revision = {!r}\n"
    "def upgrade(): op.execute('SELECT 1 / 0')\n"
)


class Clone:
    """What git tracks here, with what is not committed yet, as the first commit of a clone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        tracked(folder)
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("config", "user.name", "alice")
        self.git("config", "user.email", "alice@example.com")
        self.first = self.commit("v0")

    def git(self, *words: str, check: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            ["git", "-C", str(self.folder), *words],
            env={**environment(), **more},
            text=True,
            capture_output=True,
        )
        assert ended.returncode == 0 or not check, (words, ended.stdout, ended.stderr)
        return ended

    def commit(self, message: str, changes: Mapping[str, str | tuple[str, str] | None] = {}) -> str:
        """A commit with files that are written, (old, new) in them, or removed; its hash."""
        for name, change in changes.items():
            path = self.folder / name
            if change is None:
                path.unlink()
            elif isinstance(change, str):
                path.write_text(change)
            else:
                text = path.read_text()
                assert change[0] in text, (name, change)
                path.write_text(text.replace(*change))
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD").stdout.strip()

    def back_to(self, commit: str) -> None:
        self.git("reset", "--quiet", "--hard", commit)

    def deploy(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """`python -m deploy …` in the clone."""
        return subprocess.run(
            _command(words), cwd=self.folder, input=given, text=True, capture_output=True
        )

    def begun(self, *words: str) -> AbstractContextManager[subprocess.Popen[str]]:
        """The same, not waited for."""
        return begun(_command(words), self.folder)


def _command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-u", "-m", "deploy", *words]


def broken_revision(of: str | None = None) -> dict[str, str]:
    """A migration that fails, as a change; it goes on from a revision, our last unless given."""
    return {"migrations/versions/broken.py": BROKEN_REVISION.format(of or known()[1])}
