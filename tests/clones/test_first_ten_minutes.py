"""README, "make it yours", in a clone: its lines are run, and all that is left is tested there."""

import re
from pathlib import Path

from service.environment import ROOT
from starter import record
from starter.tree import Tree
from tests.clones.conftest import Clone
from tests.starter.git import commit, git

HEADING = "## The first ten minutes: make it yours"


def typed() -> list[str]:
    """The lines of the first block below the heading, without comments."""
    section = (ROOT / "README.md").read_text().partition(HEADING)[2]
    (block, *_) = re.findall(r"^```sh\n(.*?)^```", section, re.M | re.S)
    return [line.partition("#")[0].strip() for line in block.splitlines()]


def test_the_first_ten_minutes_leave_a_product_that_passes_its_own_suite(clone: Clone) -> None:
    lines = typed()
    assert [line.split()[1] for line in lines] == [
        *("rename", "feature", "remove-sample", "target-remove", "check")
    ]
    for line in lines:
        said = clone.ok(line)
        if line == lines[-1]:
            assert re.search(r"^ok +migrations ", said, re.M), said
            assert re.search(r"\[100%\]", said), said
        else:
            assert "one commit. `git reset --hard HEAD~1` takes it back." in said
    assert len(git(clone.folder, "log", "--format=%H").splitlines()) == len(lines)
    assert git(clone.folder, "status", "--porcelain") == ""


def test_load_and_benchmarks_work_without_the_sample(clone: Clone) -> None:
    clone.ok("make remove-sample")
    clone.ok(".venv/bin/python -m pytest tests/chaos/test_server.py")
    told = clone.ok(".venv/bin/python -m bench --help")
    assert "{start,memory,scrape,jobs}" in told


def test_a_sample_that_was_deployed_is_dropped_by_a_revision(clone: Clone) -> None:
    clone.ok("make remove-sample DEPLOYED=1")
    clone.ok(".venv/bin/python -m tests.check migrations")
    clone.ok(".venv/bin/python -m deploy lint-migrations")
    clone.ok(".venv/bin/python -m pytest tests/test_migrations.py")


def test_what_make_is_given_is_taken_as_it_was_typed(clone: Clone) -> None:
    for name in ("""'my"product'""", "'a; touch made'", "'`touch made`'", "'a b'"):
        ended = clone.sh(f"make rename NAME={name}")
        assert f"rename: {name} is no name for a product" in ended.stderr
        assert not (clone.folder / "made").exists()
    ended = clone.sh("NAME=of-the-shell make rename")
    assert (ended.returncode, "NAME=… is needed" in ended.stderr) == (2, True)


def test_later_changes_of_the_template_come_in_under_ones_own_name(
    clone: Clone, tmp_path: Path
) -> None:
    template = tmp_path / "template"
    git(tmp_path, "clone", "--quiet", str(clone.folder), str(template))
    clone.ok("make rename NAME=my-product")
    clone.ok("make remove-sample")
    name = record.read(Tree(ROOT)).name.plain
    commit(
        template,
        "later",
        {
            "docs/later.md": f"# Later\n\nOf {name}.\n",
            "service/posts/later.py": "SAMPLE = 1\n",
            "service/flags.py": (template / "service/flags.py").read_text() + "\nLATER = 1\n",
        },
    )
    before = git(clone.folder, "rev-parse", "HEAD")
    told = clone.ok(f"make update UPSTREAM={template} DRY_RUN=1")
    assert "docs/later.md" in told and "service/flags.py" in told
    assert git(clone.folder, "rev-parse", "HEAD") == before
    clone.ok(f"make update UPSTREAM={template}")
    assert (clone.folder / "docs/later.md").read_text() == "# Later\n\nOf my-product.\n"
    assert (clone.folder / "service/flags.py").read_text().endswith("\nLATER = 1\n")
    assert not (clone.folder / "service/posts").exists()
    assert git(clone.folder, "status", "--porcelain") == ""
    assert "Up to date with" in clone.ok("make update")
