"""`make remove-sample`: what only shows how it is done leaves, with the tests that need it."""

from starter import parts, record, revisions
from starter.refusal import Refused
from starter.tree import Tree

NAME = "sample"
ALLOWED = "# contract: the sample is gone\n"


def remove(tree: Tree, *, deployed: bool) -> list[str]:
    """The files that left. `deployed`: a database has its tables, so that its revision stays and a
    new one drops them. Raises Refused."""
    said = record.read(tree)
    if NAME in said.removed:
        raise Refused("the sample was removed already")
    kept = [each for each in _of_sample(tree) if deployed]
    for each in kept:
        up, down = revisions.bodies(each.text)
        revisions.new(tree, "Drop the sample", down, up, ALLOWED)
    removed = parts.remove(tree, NAME, said.removed, [each.file for each in kept])
    record.write(tree, removed=(*said.removed, NAME))
    return removed


def _of_sample(tree: Tree) -> list[revisions.Revision]:
    files = {name for pattern in parts.read(tree)[NAME].files for name in tree.matching(pattern)}
    return [each for each in revisions.read(tree) if each.file in files]
