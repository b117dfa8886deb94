"""Revisions of the schema: which there are, and which goes on from which. Read as text."""

import ast
import re
import uuid
from collections.abc import Collection
from datetime import UTC, datetime
from typing import NamedTuple

from starter.refusal import Refused
from starter.tree import Tree

FOLDER = "migrations/versions"
_ID = re.compile(r"^revision(?:: [^=]+)? = [\"'](\w+)[\"']$", re.M)
_DOWN = re.compile(r"^(down_revision(?:: [^=]+)? = )(.+)$", re.M)


class Revision(NamedTuple):
    file: str
    id: str
    down: str  # as it is written: a text, None, or several of a merge
    text: str


def read(tree: Tree) -> list[Revision]:
    """All of them. Raises Refused for a file that is none."""
    found = []
    for name in tree.matching(f"{FOLDER}/*.py"):
        text = tree.text(name) or ""
        id, down = _ID.search(text), _DOWN.search(text)
        if not id or not down:
            raise Refused(f"{name} has no revision or no down_revision: it is no revision")
        found.append(Revision(name, id[1], down[2], text))
    return found


def head(tree: Tree) -> str | None:
    """The newest; None if there is none. Raises Refused if there are several."""
    every = read(tree)
    below = {id for each in every for id in re.findall(r"\w+", each.down)}
    heads = [each for each in every if each.id not in below]
    if len(heads) > 1:
        names = " and ".join(each.file for each in heads)
        raise Refused(f"{names} are both the newest: .venv/bin/alembic merge heads")
    return heads[0].id if heads else None


def unlink(tree: Tree, leaving: Collection[str]) -> None:
    """Let what goes on from revisions that leave go on from what those go on from."""
    gone = {each.id: each.down for each in read(tree) if each.file in leaving}
    for each in read(tree):
        if each.file not in leaving:
            down = each.down
            while (last := down.strip("\"'")) in gone:
                down = gone[last]
            if down != each.down:
                tree.write(each.file, _DOWN.sub(rf"\g<1>{down}", each.text))


def new(tree: Tree, words: str, upgrade: str, downgrade: str, notes: str = "") -> str:
    """Write a revision on the newest one: its name, and the bodies of both ways. Its file."""
    slug = re.sub(r"\W+", "_", words.lower()).strip("_")
    name = f"{FOLDER}/{datetime.now(UTC):%Y%m%d_%H%M}_{slug}.py"
    tree.write(
        name,
        f'''"""{words}."""

import sqlalchemy as sa
from alembic import op

revision = "{uuid.uuid4().hex[-12:]}"
down_revision = {head(tree)!r}
branch_labels = None
depends_on = None
{notes}

def upgrade() -> None:
{upgrade}


def downgrade() -> None:
{downgrade}
''',
    )
    return name


def bodies(text: str) -> tuple[str, str]:
    """Of a revision: what its ways up and down do, as it is written."""
    found = {
        node.name: "\n".join(text.splitlines()[node.body[0].lineno - 1 : node.end_lineno])
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef)
    }
    return found["upgrade"], found["downgrade"]
