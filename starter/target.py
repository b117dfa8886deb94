"""`make target-remove TARGET=…`: a place that nobody deploys to, with all that is there for it."""

from starter import parts, record
from starter.refusal import Refused
from starter.sample import NAME as SAMPLE
from starter.tree import Tree


def remove(tree: Tree, name: str) -> list[str]:
    """The files that left. Raises Refused."""
    said, every = record.read(tree), parts.read(tree)
    targets = sorted(each for each in every if each != SAMPLE)
    if name not in targets:
        raise Refused(f"{name!r} is no target: it is one of {', '.join(targets)}")
    if name in said.removed:
        raise Refused(f"{name} was removed already")
    if why := every[name].stays:
        raise Refused(f"{name} cannot be removed: {why}")
    removed = parts.remove(tree, name, said.removed)
    record.write(tree, removed=(*said.removed, name))
    return removed


def then(name: str) -> str:
    return (
        f"What {name} has of you, elsewhere, is not touched. If it alone needed a package, `make"
        " lock` drops that. Then `make check test`."
    )
