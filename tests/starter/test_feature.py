"""`make feature`: what its name becomes, which names clash, and what is written."""

import ast
import subprocess
import sys

import pytest

from starter import feature, record, revisions, sample
from starter.feature import Noun
from starter.refusal import Refused
from starter.tree import Tree


@pytest.mark.parametrize(
    ("plural", "singular", "model"),
    [
        ("orders", "order", "Order"),
        ("order_items", "order_item", "OrderItem"),
        ("categories", "category", "Category"),
        ("addresses", "address", "Address"),
        ("boxes", "box", "Box"),
        ("branches", "branch", "Branch"),
        ("houses", "house", "House"),
    ],
)
def test_the_singular_is_worked_out(plural: str, singular: str, model: str) -> None:
    found = feature.noun(plural)
    assert (found.singular, found.model) == (singular, model)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        (
            "from starter.widgets.models import Widget",
            "from service.ice_boxes.models import IceBox",
        ),
        ('"/api/widgets"', '"/api/ice-boxes"'),
        ('"ix_widgets_owner_id_id", "widgets"', '"ix_ice_boxes_owner_id_id", "ice_boxes"'),
        (
            "Widgets and rules; a widget, your widgets",
            "Ice boxes and rules; an ice box, your ice boxes",
        ),
        ("test_a_widget_is_made", "test_an_ice_box_is_made"),
        ("Make a widget.", "Make an ice box."),
    ],
)
def test_widgets_become_the_noun(text: str, made: str) -> None:
    assert Noun("ice_boxes", "ice_box").in_place_of_widgets(text) == made


@pytest.mark.parametrize(
    ("name", "singular", "said"),
    [
        ("Quokkas", "", "is no name of a feature: a plural noun in small letters"),
        ("order items", "", "is no name of a feature"),
        ("1orders", "", "is no name of a feature"),
        ("orders;", "", "is no name of a feature"),
        ("o" * 40 + "s", "", "of at most 40 characters"),
        ("news", "news", "'news' is its own singular"),
        ("sheep", "", "'sheep' does not end as a plural, such as sheeps; SINGULAR=… is for one of"),
        ("glass", "", "does not end as a plural"),
        ("users", "", "service/users is there already"),
        ("posts", "", "service/posts is there already"),  # sample
        ("settings", "", "service/settings.py is a part of the chassis"),
        ("limits", "", "service/limits.py is a part of the chassis"),
        ("classes", "", "'class' is a word of Python"),
        ("bodies", "", "'body' means something else in the code of a feature"),
        ("cursors", "", "'cursor' means something else"),
        ("effects", "", "service/effects.py is a part of the chassis"),
        ("ticks", "", "20261123_2303_jobs.py makes a table ticks"),
        ("platforms", "", "tests/platforms is, or would be, what `make test` does not look at"),
        ("files", "upload", "service/uploads/models.py has a class Upload"),
        ("{product}s", "", "is the product's own name, which `make rename` would change"),
        ("{product}", "other", "is the product's own name"),
    ],
)
def test_a_name_that_clashes_is_refused_in_a_line(
    seen: Tree, name: str, singular: str, said: str
) -> None:
    named = name.format(product=record.read(seen).name.snake)
    with pytest.raises(Refused) as caught:
        feature.add(seen, feature.noun(named, singular))
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "without_sample",
    [
        False,
        True,  # sample
    ],
)
def test_what_is_written_is_code_as_ours_on_the_newest_revision(
    tree: Tree, without_sample: bool
) -> None:
    if without_sample:
        sample.remove(tree, deployed=False)
    before, newest = set(tree.names()), revisions.head(tree)
    feature.add(tree, feature.noun("quokkas"))
    made = set(tree.names()) - before
    (revision,) = (each for each in revisions.read(tree) if each.file in made)
    assert (revision.down, revisions.head(tree)) == (f'"{newest}"', revision.id)
    assert made - {revision.file} == {
        *(f"service/quokkas/{name}.py" for name in ("__init__", "models", "routes", "schemas")),
        "tests/quokkas/__init__.py",
        "tests/quokkas/test_quokkas.py",
    }
    app = tree.text("service/app.py") or ""
    assert "\nfrom service import quokkas\n" in app
    assert "    quokkas,\n)" in app
    assert "idget" not in "".join(tree.text(name) or "" for name in made)
    words = [
        "-m",
        "ruff",
        "check",
        "--no-cache",
        "service/quokkas",
        "tests/quokkas",
        "service/app.py",
    ]
    ended = subprocess.run([sys.executable, *words], cwd=tree.root, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout


def test_two_features_go_on_from_each_other(tree: Tree) -> None:
    for name in ("quokkas", "aardvarks"):
        feature.add(tree, feature.noun(name))
    app = tree.text("service/app.py") or ""
    assert app.index("import aardvarks") < app.index("import jobs") < app.index("import quokkas")
    assert "    quokkas,\n    aardvarks,\n)" in app
    (last,) = (each for each in revisions.read(tree) if "aardvarks" in each.file)
    assert revisions.head(tree) == last.id


# sample
def test_a_feature_outlives_the_sample_that_it_came_after(tree: Tree) -> None:
    feature.add(tree, feature.noun("quokkas"))
    sample.remove(tree, deployed=False)
    (quokkas,) = (each for each in revisions.read(tree) if "quokkas" in each.file)
    assert quokkas.down in {f'"{each.id}"' for each in revisions.read(tree)}
    assert revisions.head(tree) == quokkas.id


def test_a_sample_that_was_deployed_leaves_a_revision_that_drops_its_tables(tree: Tree) -> None:
    before = {each.file for each in revisions.read(tree)}
    newest = revisions.head(tree)
    sample.remove(tree, deployed=True)
    assert before < {each.file for each in revisions.read(tree)}
    (new,) = (each for each in revisions.read(tree) if each.file not in before)
    assert (new.down, revisions.head(tree)) == (f'"{newest}"', new.id)
    up, down = revisions.bodies(new.text)
    assert up.split() == ['op.drop_table("post_exports")', 'op.drop_table("posts")']
    assert down.count("op.create_table(") == 2
    assert "# contract: the sample is gone\n" in new.text
    ast.parse(new.text)
    assert not tree.has("service/posts")


# end of sample
def test_two_heads_are_refused(tree: Tree) -> None:
    text = 'revision = "{0}"\ndown_revision = None\n'
    for name in "ab":
        tree.write(f"migrations/versions/{name}.py", text.format(name))
    with pytest.raises(Refused, match="are both the newest"):
        feature.add(tree, feature.noun("quokkas"))
