"""A tree of files to be changed: nothing of git, nothing of what the files mean."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from starter.refusal import Refused

# Formats, sorts imports, takes out those that nothing uses any more, and marks the lines that
# a longer name has made too long where nothing can break them.
TIDY = (
    ("format",),
    ("check", "--quiet", "--fix", "--exit-zero", "--select=I001,F401"),
    ("format", "--quiet"),
    ("check", "--quiet", "--add-noqa", "--exit-zero", "--select=E501"),
)


class Tree:
    """The files below a folder, by their names as git has them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.changed: set[str] = set()

    def names(self) -> list[str]:
        """All of them, sorted; a folder that git has may lie beside, and is none of them."""
        found = (path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink())
        names = (path.relative_to(self.root).as_posix() for path in found)
        return sorted(name for name in names if not name.startswith(".git/"))

    def has(self, name: str) -> bool:
        return (self.root / name).exists()

    def text(self, name: str) -> str | None:
        """None of a file that is no text."""
        try:
            with (self.root / name).open(encoding="utf-8", newline="") as file:
                return file.read()
        except UnicodeDecodeError:
            return None

    def texts(self) -> Iterator[tuple[str, str]]:
        for name in self.names():
            if (text := self.text(name)) is not None:
                yield name, text

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
        self.changed.add(name)

    def replace(self, name: str, old: str, new: str) -> None:
        """Once. Raises Refused where it does not stand: then the file is not as we know it."""
        text = self.text(name) if self.has(name) else None
        if text is None or old not in text:
            raise Refused(
                f"{name} has no {old.strip().splitlines()[0]!r}: put it back, or do it by hand"
            )
        self.write(name, text.replace(old, new, 1))

    def move(self, name: str, new: str) -> None:
        text = self.text(name)
        assert text is not None, "only texts have a name of ours"
        mode = (self.root / name).stat().st_mode
        self.write(new, text)
        (self.root / new).chmod(mode)
        self.remove([name])

    def matching(self, pattern: str) -> list[str]:
        """The files that match, or lie in a folder that does."""
        found = [path for path in self.root.glob(pattern) if path != self.root]
        inner = [each for path in found for each in ([path] if path.is_file() else path.rglob("*"))]
        return sorted(each.relative_to(self.root).as_posix() for each in inner if each.is_file())

    def remove(self, names: Iterable[str]) -> None:
        """With the folders that this leaves empty."""
        for name in names:
            path = self.root / name
            path.unlink()
            while not any(path.parent.iterdir()):
                path = path.parent
                path.rmdir()

    def tidy(self) -> None:
        """What was changed of Python is formatted anew. Raises Refused where it is none."""
        names = [name for name in sorted(self.changed) if name.endswith(".py") and self.has(name)]
        for words in TIDY if names else ():
            ended = subprocess.run(
                [sys.executable, "-m", "ruff", *words, "--no-cache", "--", *names],
                cwd=self.root,
                capture_output=True,
                text=True,
            )
            if ended.returncode != 0:
                said = " ".join((ended.stderr or ended.stdout).split())
                raise Refused(f"what would be made is no Python: {said}")
