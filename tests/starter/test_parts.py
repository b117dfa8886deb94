"""What can leave: its marks are read right, and without it the rest stands."""

import re
from pathlib import Path

import pytest

from deploy.targets import TARGETS
from service.environment import ROOT
from starter import parts, record, sample, target
from starter.refusal import Refused
from starter.tree import Tree
from tests.starter.ends import dead_ends

HERE = Tree(ROOT)
GONE = record.read(HERE).removed
PARTS = {name: part for name, part in parts.read(HERE).items() if name not in GONE}
LEAVING = [name for name, part in PARTS.items() if name != "sample" and not part.stays]


def left(text: str, *gone: str, path: str = "x.py") -> str:
    return "".join(parts.without(text, gone, path))


PROJECT = """[project]
name = "harbour"

[tool.starter]
upstream = ""
commit = ""
removed = []
"""
WORKFLOW = """jobs:
  all: {}
  # target: fly
  deploy-fly:
    steps:
      - run: fly deploy
  # end of target: fly
  # target: heroku
  deploy-heroku: {}
  # end of target: heroku
"""


@pytest.mark.parametrize(
    ("text", "gone", "rest"),
    [
        ("a\nb  # target: fly\nc\n", "fly", "a\nc\n"),
        ("a\nb  # target: fly\nc\n", "render", "a\nb  # target: fly\nc\n"),
        ("# target: fly\na\n# end of target: fly\nb\n", "fly", "b\n"),
        ("  # sample\n  a\n  # end of sample\nb\n", "sample", "b\n"),
        ("- [F](f) <!-- target: fly -->\n- [G](g)\n", "fly", "- [G](g)\n"),
        ("<!-- sample -->\na\n<!-- end of sample -->\nb\n", "sample", "b\n"),
        ("a  # target: fly, render\n", "fly", "a  # target: fly, render\n"),
        ("a  # target: fly, render\n", "fly render", ""),
        ("# target: fly\n# target: x\na\n# end of target: x\nb\n# end of target: fly\n", "fly", ""),
        (
            "# target: fly\n# target: x\na\n# end of target: x\nb\n# end of target: fly\n",
            "x",
            "# target: fly\nb\n# end of target: fly\n",
        ),
        ("# target: fly\na  # sample\n# end of target: fly\n", "fly", ""),
        ("# the sample\n# targets: fly\nsample = 1  # a sample\n", "sample fly", None),
        (WORKFLOW, "fly heroku", "jobs:\n  all: {}\n"),
    ],
)
def test_what_is_marked_leaves_and_nothing_else(text: str, gone: str, rest: str | None) -> None:
    assert left(text, *gone.split()) == (text if rest is None else rest)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# target: fly\na\n", "x.py: 'target: fly' is begun and has no end"),
        ("a\n# end of sample\n", "x.py:2: '# end of sample' ends what has not begun"),
        (
            "# sample\n# target: a\n# end of sample\n# end of target: a\n",
            "x.py:3: '# end of sample'",
        ),
    ],
)
def test_a_block_that_is_not_whole_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(Refused, match=re.escape(said)):
        left(text, "fly")


ROWS = "| fly | 1 |\n| heroku | 2 |\nfly       ok\n\n[F](fly.toml)  # target: fly\n"


@pytest.fixture
def small(tmp_path: Path) -> Tree:
    """A tree with two targets and the sample."""
    found = Tree(tmp_path)
    found.write("pyproject.toml", PROJECT)
    found.write("starter/parts.toml", '[fly]\nfiles = ["fly.toml"]\n[heroku]\n[sample]\n')
    found.write("fly.toml", "app = 1\n")
    found.write(".github/workflows/deploy.yml", WORKFLOW)
    found.write("README.md", ROWS)
    return found


def test_a_target_leaves_with_its_file_its_job_and_its_rows(small: Tree) -> None:
    assert target.remove(small, "fly") == ["fly.toml"]
    assert "fly" not in (small.text(".github/workflows/deploy.yml") or "")
    assert "deploy-heroku" in (small.text(".github/workflows/deploy.yml") or "")
    assert small.text("README.md") == "| heroku | 2 |\n\n"
    assert record.read(small).removed == ("fly",)
    target.remove(small, "heroku")
    assert record.read(small).removed == ("fly", "heroku")


def test_what_was_removed_is_not_removed_again(small: Tree) -> None:
    target.remove(small, "fly")
    sample.remove(small, deployed=False)
    with pytest.raises(Refused, match="fly was removed already"):
        target.remove(small, "fly")
    with pytest.raises(Refused, match="the sample was removed already"):
        sample.remove(small, deployed=False)


def test_every_target_is_a_part_and_every_file_of_a_part_is_there(seen: Tree) -> None:
    targets = {path.parent.name for path in (ROOT / "deploy").glob("*/README.md")}
    assert PARTS.keys() - {"sample"} == targets
    assert TARGETS.keys() <= targets
    for name, part in PARTS.items():
        for pattern in part.files:
            assert seen.matching(pattern), (name, pattern)
        for place, other in part.instead.items():
            assert seen.has(place) and seen.has(other)


def test_every_mark_is_of_a_part(seen: Tree) -> None:
    known = parts.read(HERE).keys()
    for path, text in seen.texts():
        for number, line in enumerate(text.splitlines(), 1):
            if mark := parts.mark_of(line, path):
                assert set(parts.names(mark.part)) <= known, (path, number)


def test_dead_ends_are_seen(small: Tree) -> None:
    """The control."""
    assert dead_ends(small) == []
    small.remove(["fly.toml"])
    small.write("service/x.py", "import service.gone\nfrom service.x import y\nimport json\n")
    assert dead_ends(small) == ["README.md: fly.toml", "service/x.py: service.gone"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("geocities", "'geocities' is no target: it is one of "),
        ("sample", "'sample' is no target: "),
        ("docker", "docker cannot be removed: the rehearsals of all other targets"),
        ("vps", "vps cannot be removed: the production checklist"),
    ],
)
def test_a_target_that_cannot_leave_is_refused(seen: Tree, name: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        target.remove(seen, name)


def test_all_that_can_leave_can_leave_together(tree: Tree) -> None:
    """One by one, in copies: `make test-starter`."""
    for name in LEAVING:
        target.remove(tree, name)
    if "sample" in PARTS:
        files = [each for pattern in PARTS["sample"].files for each in tree.matching(pattern)]
        assert sample.remove(tree, deployed=False) == files
    assert dead_ends(tree) == []
    lines = [(path, line) for path, text in tree.texts() for line in text.splitlines()]
    marks = [mark for path, line in lines if (mark := parts.mark_of(line, path))]
    gone = {*record.read(tree).removed}
    assert [mark.part for mark in marks if gone.issuperset(parts.names(mark.part))] == []
