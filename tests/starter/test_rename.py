"""A clone is renamed: nothing of the old name is left, and what it is for holds."""

import re

import pytest

from starter import record
from starter.names import Name
from starter.refusal import Refused
from starter.rename import rename
from starter.tree import Tree

NEW = Name("acme-parcels")
SQL = re.compile(r"(?:DATABASE|ROLE|OWNER|datname =|rolname =|-U|createdb --owner) '?[a-z]+-")


@pytest.fixture
def renamed(tree: Tree) -> Tree:
    rename(tree, NEW)
    return tree


def words_of(tree: Tree, name: Name) -> list[str]:
    """Where a name stands, but for the licence and for what is said of other names."""
    pattern = re.compile(rf"{name.plain}|{name.snake}|{name.title}", re.I)
    texts = [(path, path + "\n" + text) for path, text in tree.texts()]
    return [path for path, text in texts if path != "LICENSE" and pattern.search(text)]


def test_nothing_has_the_old_name_and_the_licence_says_whose_it_is(tree: Tree) -> None:
    old = record.read(tree).name
    before, licence = words_of(tree, old), tree.text("LICENSE")
    rename(tree, NEW)
    assert len(before) > 100
    assert words_of(tree, old) == []
    assert len(words_of(tree, NEW)) >= len(before)
    assert tree.text("LICENSE") == licence


def test_no_name_in_sql_has_a_hyphen(renamed: Tree) -> None:
    assert SQL.search("ALTER DATABASE my-shop")
    found = [path for path, text in renamed.texts() if SQL.search(text)]
    assert [path for path in found if not path.startswith("tests/starter/")] == []


def test_a_second_rename_is_as_good_as_the_first_one(clone: object, renamed: Tree) -> None:
    again = Name("acme-letters")
    rename(renamed, again)
    assert words_of(renamed, NEW) == words_of(renamed, Name("acme-parcels"))
    left = [p for p in words_of(renamed, NEW) if not p.startswith("tests/starter/")]
    assert left == []
    assert record.read(renamed).name == again


def test_the_upstream_s_address_is_not_renamed(tree: Tree) -> None:
    address = f"https://example.com/{record.read(tree).name.plain}.git"
    record.write(tree, upstream=address)
    rename(tree, NEW)
    assert record.read(tree).upstream == address


def test_a_rename_that_would_break_code_is_refused(tree: Tree) -> None:
    """A word in capitals, as a class has, becomes two."""
    tree.write("service/mine.py", f"class {record.read(tree).name.title}: ...\n")
    with pytest.raises(Refused, match=r"is no Python: .*mine\.py"):
        rename(tree, NEW)
