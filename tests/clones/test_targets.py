"""Each target leaves a clone, and what is left is whole."""

import pytest

from service.environment import ROOT
from starter import parts, target
from starter.repository import Repository
from starter.tree import Tree
from tests.clones.conftest import Clone
from tests.starter.ends import dead_ends

LEAVING = [
    name for name, part in parts.read(Tree(ROOT)).items() if name != "sample" and not part.stays
]
# Those that are not collected by themselves too; what left is not among them.
SUITES = ("tests", "tests/chaos", "tests/clones", "tests/deploy/docker", "tests/deploy/platforms")

ABOUT = (
    "tests/test_layers.py",
    "tests/workflows/test_gitlab.py",
    "tests/deploy/test_pipeline.py",
    "tests/deploy/test_check.py",
    "tests/deploy/test_env.py",
    "tests/deploy/test_readiness.py",
)


# With all platforms gone.
ALL_ABOUT = (*ABOUT, "tests/workflows", "tests/deploy/test_pages.py")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(tmp_path_factory.mktemp("targets") / "clone")


@pytest.mark.parametrize("name", LEAVING)
def test_without_it_manifests_tests_and_pages_are_whole(shared: Clone, name: str) -> None:
    with Repository(shared.folder).tree() as tree:
        files = [e for pattern in parts.read(tree)[name].files for e in tree.matching(pattern)]
        assert target.remove(tree, name) == files
        assert dead_ends(tree) == []
    shared.ok(f"make target-remove TARGET={name}")
    try:
        checked = shared.ok(".venv/bin/python -m deploy check")
        assert f"\n{name} " not in checked
        shared.ok(f".venv/bin/python -m pytest --collect-only {' '.join(SUITES)}")
        shared.ok(f".venv/bin/python -m pytest {' '.join(ABOUT)}")
        shared.ok(".venv/bin/mypy")
        shared.ok(".venv/bin/ruff check --no-cache . && .venv/bin/ruff format --no-cache --check .")
    finally:
        shared.ok("git reset --quiet --hard HEAD~1")


def test_without_any_platform_the_rest_is_whole(clone: Clone) -> None:
    for name in LEAVING:
        clone.ok(f"make target-remove TARGET={name}")
    assert clone.ok(".venv/bin/python -m deploy check --json").strip() == "{}"
    clone.ok(f".venv/bin/python -m pytest --numprocesses 2 {' '.join(ALL_ABOUT)}")
    clone.ok(".venv/bin/mypy && .venv/bin/ruff check --no-cache .")
