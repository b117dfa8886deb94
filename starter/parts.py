"""What can leave: the sample and the targets, each by its files and by what is marked as its own.

Beside starter/parts.toml, which names the files, a line or a block of any other file is a part's:

    from deploy.fly import manifest as fly  # target: fly
    # sample
    …
    # end of sample

In Markdown the same stands in `<!-- … -->`, and in YAML and TOML behind a `#`. What belongs to
several targets (`# target: heroku, render`) leaves with the last of them.
"""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from starter import revisions
from starter.refusal import Refused
from starter.tree import Tree

FILE = "starter/parts.toml"

NOT_READ = ("starter/parts.py", "tests/starter/test_parts.py")  # which are about marks
_PART = r"(sample|target: [a-z0-9]+(?:, [a-z0-9]+)*)"
_MARK = re.compile(rf"(?:#|<!--) (end of )?{_PART}(?: -->)?$")  # ends a line, or is one


class Part(NamedTuple):
    """What leaves with a part, as parts.toml has it."""

    files: Sequence[str] = ()  # patterns
    instead: Mapping[str, str] = {}  # files that are put in the place of others
    stays: str = ""  # why it cannot leave


def read(tree: Tree) -> dict[str, Part]:
    """All of them, by name. Raises Refused."""
    try:
        found = tomllib.loads((tree.root / FILE).read_text())
        return {name: Part(**said) for name, said in found.items()}
    except (OSError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise Refused(f"{FILE} cannot be read: {error}") from None


def remove(tree: Tree, name: str, gone: Collection[str], kept: Collection[str] = ()) -> list[str]:
    """Take a part's files and lines out, as others are `gone` already, but for files that are to be
    `kept`; returns the names of those that left. Raises Refused."""
    part = read(tree)[name]
    for place, other in part.instead.items():
        tree.write(place, tree.text(other) or "")
    found = [each for pattern in part.files for each in tree.matching(pattern) if each not in kept]
    revisions.unlink(tree, found)
    tree.remove(found)
    for path, text in list(tree.texts()):
        if name not in text:
            continue
        left = "".join(without(text, {name, *gone}, path))
        if path.endswith(".md"):  # a row of a table: a target's figures
            left = re.sub(rf"^(?:\| {name} \||{name}  ).*\n", "", left, flags=re.M)
        if left != text:
            tree.write(path, left if path.endswith(".py") else re.sub(r"\n{3,}", "\n\n", left))
    tree.tidy()
    return found


def without(text: str, gone: Collection[str], path: str) -> Iterator[str]:
    """The lines that are nobody's, or of one that stays. Raises Refused for a block without end."""
    open_: list[str] = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        around = list(open_)
        if (mark := mark_of(line, path)) and mark.ends:
            if not open_ or open_.pop() != mark.part:
                raise Refused(f"{path}:{number}: {line.strip()!r} ends what has not begun")
        elif mark:
            around.append(mark.part)
            if mark.opens:
                open_.append(mark.part)
        if not any(set(names(each)) <= set(gone) for each in around):
            yield line
    if open_:
        raise Refused(f"{path}: {open_[-1]!r} is begun and has no end: `end of {open_[-1]}`")


class Mark(NamedTuple):
    part: str  # as it is written
    opens: bool
    ends: bool


def mark_of(line: str, path: str) -> Mark | None:
    """The mark at the end of a line, if there is one."""
    found = _MARK.search(line.rstrip())
    if found is None or path in NOT_READ:
        return None
    alone = line.lstrip().startswith(found[0])
    return Mark(found[2], alone and not found[1], bool(found[1]))


def names(part: str) -> list[str]:
    """The parts of a mark."""
    return part.removeprefix("target: ").split(", ")
