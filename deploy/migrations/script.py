"""What a revision would run, statement by statement, as SQL that is not run."""

import re
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

# Comments, texts and quoted names may hold anything that looks like SQL, a semicolon too.
_OPAQUE = re.compile(
    r"""--[^\n]* | /\*.*?\*/ | E'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | \$(\w*)\$.*?\$\1\$
    | "[^"]*" """,
    re.DOTALL | re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True)
class Statement:
    """One statement, and the line of the revision that asks for it."""

    text: str
    plain: str  # see Script
    start: int  # where in the script
    line: int


class Script:
    """Takes what Alembic writes, and notes which line of the revision it writes it for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sql = ""
        self._lines: list[tuple[int, int]] = []  # from which place on, the line

    def write(self, text: str) -> None:
        frames = traceback.walk_stack(None)
        line = next((line for frame, line in frames if _is_of(frame.f_code, self.path)), 1)
        self._lines.append((len(self.sql), line))
        self.sql += text

    def flush(self) -> None:
        """As a stream has one."""

    @property
    def plain(self) -> str:
        """In capitals, with nothing in its texts and comments, of the same length."""
        return "".join(map(_capital, _OPAQUE.sub(_emptied, self.sql)))

    def statements(self) -> Iterator[Statement]:
        start = 0
        for part in self.plain.split(";"):
            begin = start + len(part) - len(part.lstrip())
            if part.strip() not in ("", "BEGIN", "COMMIT"):
                text = self.sql[begin : start + len(part)].rstrip()
                yield Statement(text, part.strip(), begin, self.line(begin))
            start += len(part) + 1

    def line(self, place: int) -> int:
        return next((line for start, line in reversed(self._lines) if start <= place), 1)


class NotRendered(Exception):
    """A revision cannot be written down as SQL; at which line, and why."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


def render(path: Path, upgrade: Callable[[], None]) -> Script:
    """Its way up. Raises NotRendered if it wants to know something of a database."""
    script = Script(path)
    options = {"as_sql": True, "output_buffer": script}
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    try:
        with Operations.context(context), context.begin_transaction():
            upgrade()
    except Exception as error:  # a revision is any code at all
        frames = traceback.walk_tb(error.__traceback__)
        line = next((line for frame, line in frames if _is_of(frame.f_code, path)), 1)
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NotRendered(line, why) from error
    return script


def _is_of(code: object, path: Path) -> bool:
    return getattr(code, "co_filename", None) == str(path)


def _capital(letter: str) -> str:
    """`ß` has two."""
    return letter.upper() if letter.isascii() else letter


def _emptied(found: re.Match[str]) -> str:
    """Of the same length: names stay, without what would end a statement."""
    text = found[0]
    if text.startswith('"'):
        return text.replace(";", "_")
    if text.startswith(("--", "/*")):
        return " " * len(text)
    return f"'{' ' * (len(text) - 2)}'"
