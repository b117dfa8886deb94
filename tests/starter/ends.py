"""What leads nowhere in a tree from which something was taken out."""

import re
from pathlib import Path

from starter.tree import Tree

OURS = ("service", "deploy", "tests", "bench", "starter")
IMPORT = re.compile(r"^(?:from|import) ([\w.]+)", re.M)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#]+)")


def dead_ends(tree: Tree) -> list[str]:
    """Modules of ours and pages that are named, and are not there."""
    found = []
    for path, text in tree.texts():
        if path.endswith(".md"):
            links = {link: (tree.root / path).parent / link for link in LINK.findall(text)}
            found += [f"{path}: {link}" for link, place in links.items() if not place.exists()]
        elif path.endswith(".py"):
            modules = set(IMPORT.findall(text))
            found += [f"{path}: {each}" for each in modules if not is_module(tree.root, each)]
    return found


def is_module(root: Path, name: str) -> bool:
    place = root.joinpath(*name.split("."))
    ours = name.partition(".")[0] in OURS
    return not ours or place.is_dir() or place.with_suffix(".py").is_file()
