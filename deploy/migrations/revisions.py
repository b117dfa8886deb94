"""The revisions as they lie in migrations/versions: what they say for themselves, and what git
knows of them."""

import ast
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError

from deploy.shell import CommandFailed, Failed, run

_WORD = re.compile(r"^[ \t]*# (contract|(?:lint|squawk) allows ([\w-]+)):[ \t]*(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Word:
    """A line with which a revision says why it may do something."""

    line: int
    rule: str | None  # None: `contract`, which is for all that breaks the release before
    reason: str


def words(source: str) -> list[Word]:
    return [
        Word(source.count("\n", 0, found.start()) + 1, found[2], found[3].strip())
        for found in _WORD.finditer(source)
    ]


# Who uses one of these wants to ask a database, or does something else there than here, where
# there is none. (What Alembic itself refuses without one fails as it is written down.)
_OF_A_DATABASE = {"get_bind", "as_sql"}


def asks_a_database(source: str) -> list[int]:
    """The lines that do."""
    return sorted(
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr in _OF_A_DATABASE
    )


def read(root: Path) -> list[Script]:
    """In their order. Raises Failed if one cannot be read, or they do not hang together."""
    config = Config(toml_file=root / "pyproject.toml")
    try:
        with warnings.catch_warnings():  # Alembic only warns of two revisions with one name
            warnings.simplefilter("error")
            found = list(ScriptDirectory.from_config(config).walk_revisions())
    except CommandError as error:
        raise Failed(f"migrations/versions cannot be read: {error}") from None
    except Exception as error:  # a revision is any code at all
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise Failed(f"migrations/versions cannot be read: {what}") from None
    return found[::-1]


def since(root: Path, commit: str, scripts: list[Script]) -> list[Script]:
    """Those that are new or other than at a commit, though they be in no commit yet. Raises
    Failed."""
    folder = "migrations/versions"
    then = _commit(root, commit)
    changed = ("diff", "--name-only", "-z", "--no-renames", "--relative", then, "--", folder)
    unknown = ("ls-files", "--others", "--exclude-standard", "-z", "--", folder)
    paths = {root / name for words in (changed, unknown) for name in _git(root, *words).split("\0")}
    return [each for each in scripts if Path(each.path) in paths]


def at(root: Path, commit: str, path: Path) -> str | None:
    """The source as it was at a commit; None if it was not there."""
    try:
        return _git(root, "show", f"{_commit(root, commit)}:./{path.relative_to(root).as_posix()}")
    except CommandFailed:
        return None


def does_the_same(one: str, other: str) -> bool:
    """But for comments, docstrings and the form."""
    return _code(one) == _code(other)


def _code(source: str) -> list[str]:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef):
            node.body = [each for each in node.body if not _is_text(each)]
    return [ast.dump(each) for each in tree.body]


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _commit(root: Path, name: str) -> str:
    """Raises Failed if it is none."""
    try:
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        return _git(root, *words).strip()
    except CommandFailed as failure:
        if "not a git repository" in failure.said:
            raise Failed(f"{root} is not in a git repository: --all looks at everything") from None
        raise Failed(
            f"{name!r} is no commit here. Of a shallow clone: git fetch --unshallow --tags"
        ) from None


def _git(root: Path, *words: str) -> str:
    return run(["git", "-C", str(root), *words])
