"""A project with revisions of a few lines, and what is refused of them."""

from pathlib import Path
from textwrap import indent

from deploy.migrations import revisions
from deploy.migrations.lint import Refused, look

HEAD = '''"""A change."""

import sqlalchemy as sa
from alembic import context, op

revision = "{revision}"
down_revision = {down}


def upgrade() -> None:
'''
FIRST_LINE = HEAD.count("\n") + 1


def write(root: Path, body: str, revision: str = "1", down: str | None = None) -> Path:
    path = root / "migrations" / "versions" / f"{revision}.py"
    path.write_text(HEAD.format(revision=revision, down=repr(down)) + indent(f"{body}\n", "    "))
    return path


def refused(root: Path, body: str) -> list[Refused]:
    """What is refused of the project's only revision, of this body."""
    write(root, body)
    (script,) = revisions.read(root)
    return look(root, script)
