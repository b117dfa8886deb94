"""README, "make it yours", in a clone: its lines are run, and all that is left is tested there."""

import re

from service.environment import ROOT
from tests.clones.conftest import Clone
from tests.starter.git import git

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
    assert "{start,memory,jobs}" in told


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
