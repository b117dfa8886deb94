"""`make rename NAME=…`: the product's name in every place, of files too; `service` stays."""

from fnmatch import fnmatch

from starter import record, reserved
from starter.names import KEPT, Name
from starter.tree import Tree


def rename(tree: Tree, new: Name) -> int:
    """Give the product another name; how many files that changed. Raises Refused."""
    reserved.refuse(new, record.read(tree).name, tree)
    return respell(tree, new)


def respell(tree: Tree, new: Name) -> int:
    """The same, of a name that was found good before."""
    old, upstream = record.read(tree)[:2]
    for name, text in list(tree.texts()):
        if any(fnmatch(name, kept) for kept in KEPT):
            continue
        if (spelt := old.respell(name, text, new)) != text:
            tree.write(name, spelt)
    for name in tree.names():
        moved = name if name in KEPT else old.respell(name, name, new)
        if moved != name:
            tree.move(name, moved)
    record.write(tree, upstream=upstream)  # the address of the template has its name
    tree.tidy()
    return len(tree.changed)
