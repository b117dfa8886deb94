"""`make feature NAME=orders`: a feature in the sample's shape, made of starter/widgets.

Change what a new feature looks like: change widgets/, which is code as any other.
"""

import ast
import keyword
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from starter import record, revisions
from starter.refusal import Refused
from starter.tree import Tree

WIDGETS = Path(__file__).parent / "widgets"
ENDINGS = (("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x"))
MOST = 40  # of PostgreSQL's 63, with what the names of constraints put around it

_IMPORT = re.compile(r"^from service import (\w+)(?:  # .*)?$", re.M)
_FEATURES = re.compile(r"^FEATURES = \(\n(?:    \w+,.*\n)*", re.M)


class Noun(NamedTuple):
    """order_items, and of what that is the plural: order_item."""

    plural: str
    singular: str

    @property
    def model(self) -> str:
        return "".join(word.capitalize() for word in self.singular.split("_"))

    def in_place_of_widgets(self, text: str) -> str:
        """A file of starter/widgets about this noun."""
        words, many = self.singular.replace("_", " "), self.plural.replace("_", " ")
        n = "n" if words[0] in "aeiou" else ""
        for pattern, instead in (
            (r"starter\.widgets", f"service.{self.plural}"),
            (r"/api/widgets", f"/api/{self.plural.replace('_', '-')}"),
            (r"Widgets", many.capitalize()),
            (r"Widget", self.model),
            (r"(?<=[_\"])widgets|widgets(?=[_\"])", self.plural),  # in a name
            (r"(?<=_a)_widget", f"{n}_{self.singular}"),
            (r"(?<=\b[Aa]) widget\b", f"{n} {words}"),
            (r"widgets", many),
            (r"widget", words),
        ):
            text = re.sub(pattern, instead, text)
        return text


def noun(name: str, singular: str = "") -> Noun:
    """Raises Refused for what is no plural noun, in small letters, or has no singular we know."""
    for each in filter(None, (name, singular)):
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", each) or len(each) > MOST:
            raise Refused(
                f"{each!r} is no name of a feature: a plural noun in small letters, such as orders"
                f" or order_items, of at most {MOST} characters"
            )
    found = Noun(name, singular or _singular(name))
    if found.singular == name:
        raise Refused(f"{name!r} is its own singular: orders and order are two names")
    return found


def add(tree: Tree, new: Noun) -> list[str]:
    """Write the feature, its revision and tests, and its two lines. The files. Raises Refused."""
    _refuse_clash(tree, new)
    folder, tests = f"service/{new.plural}", f"tests/{new.plural}"
    for name in ("__init__", "models", "schemas", "routes"):
        text = new.in_place_of_widgets((WIDGETS / f"{name}.py").read_text())
        tree.write(f"{folder}/{name}.py", text)
    upgrade, downgrade = revisions.bodies((WIDGETS / "revision.py").read_text())
    ways = (new.in_place_of_widgets(upgrade), new.in_place_of_widgets(downgrade))
    revisions.new(tree, new.plural.replace("_", " ").capitalize(), *ways)
    tree.write(f"{tests}/__init__.py", "")
    examples = new.in_place_of_widgets((WIDGETS / "examples.py").read_text())
    tree.write(f"{tests}/test_{new.plural}.py", examples)
    _register(tree, new.plural)
    tree.tidy()
    return sorted(tree.changed)


def _register(tree: Tree, name: str) -> None:
    """Its import and its line in FEATURES, below all others."""
    text = tree.text("service/app.py") or ""
    imports, features = list(_IMPORT.finditer(text)), _FEATURES.search(text)
    if not imports or not features:
        raise Refused("service/app.py has no `from service import …` or no FEATURES, one a line")
    text = f"{text[: features.end()]}    {name},\n{text[features.end() :]}"
    after = [each for each in imports if each[1] < name]
    place = after[-1].end() + 1 if after else imports[0].start()
    tree.write("service/app.py", f"{text[:place]}from service import {name}\n{text[place:]}")


def _refuse_clash(tree: Tree, new: Noun) -> None:
    if tree.has(f"service/{new.plural}"):
        raise Refused(f"service/{new.plural} is there already: choose another name")
    product = record.read(tree).name
    for each in (new.plural, new.singular):
        if product.is_in(each):
            raise Refused(f"{each!r} is the product's own name, which `make rename` would change")
        if tree.has(f"service/{each}.py"):
            raise Refused(f"service/{each}.py is a part of the chassis: choose another name")
    bound = set(_bound())
    for each in (new.plural, new.singular, new.model):
        if keyword.iskeyword(each) or keyword.issoftkeyword(each):
            raise Refused(f"{each!r} is a word of Python: choose another name, or SINGULAR=…")
        if each in bound:
            raise Refused(f"{each!r} means something else in the code of a feature: choose another")
    project = tomllib.loads(tree.text("pyproject.toml") or "")
    if tree.has(f"tests/{new.plural}") or new.plural in _not_collected(project):
        raise Refused(f"tests/{new.plural} is, or would be, what `make test` does not look at")
    for revision in revisions.read(tree):
        if re.search(rf'create_table\(\s*"{new.plural}"', revision.text):
            raise Refused(
                f"{revision.file} makes a table {new.plural} already: choose another name"
            )
    classes = f"class {new.model}("
    for name in tree.matching("service/*/models.py"):
        if classes in (tree.text(name) or ""):
            raise Refused(f"{name} has a class {new.model}: choose another name")


def _not_collected(project: dict[str, dict[str, dict[str, dict[str, list[str]]]]]) -> list[str]:
    return project["tool"]["pytest"]["ini_options"].get("norecursedirs", [])


def _bound() -> Iterator[str]:
    """All names that the code of a feature imports or gives, but for its own."""
    for path in WIDGETS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.alias):
                yield node.name.rpartition(".")[2]
            elif isinstance(node, ast.Name | ast.arg | ast.FunctionDef | ast.ClassDef):
                name = getattr(node, "id", None) or getattr(node, "arg", None) or node.name  # type: ignore[union-attr]
                if "widget" not in name.lower():
                    yield name


def _singular(plural: str) -> str:
    """By the few rules that most nouns follow."""
    for ending, instead in ENDINGS:
        if plural.endswith(ending):
            return plural.removesuffix(ending) + instead
    if plural.endswith("s") and not plural.endswith("ss"):
        return plural.removesuffix("s")
    raise Refused(
        f"{plural!r} does not end as a plural, such as {plural}s; SINGULAR=… is for one of"
        " another form"
    )
