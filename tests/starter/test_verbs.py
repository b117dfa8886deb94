"""`python -m starter VERB` as the Makefile calls it: exit codes, and nothing half done."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.environment import ROOT
from starter import record
from starter.tree import Tree
from tests.starter.git import WHO, commit, git

Ended = subprocess.CompletedProcess[str]


# What the verbs need of a clone; a small one is quickly cloned.
FEW = ("starter", "migrations", "service/app.py", "service/users/models.py", "pyproject.toml")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few")
    caches = shutil.ignore_patterns("__pycache__")
    for name in FEW:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=caches)
        else:
            shutil.copy(ROOT / name, folder / name)
    record.write(Tree(folder), upstream="", commit="")  # as if nobody had begun
    (folder / ".gitignore").write_text("__pycache__/\n.env\n")
    commit(folder, "as cloned")
    return folder


@pytest.fixture
def folder(few: Path, tmp_path: Path) -> Path:
    """A clone of the test's own."""
    git(tmp_path, "clone", "--quiet", str(few), "mine")
    for name, value in WHO.items():
        git(tmp_path / "mine", "config", name, value)
    return tmp_path / "mine"


def starter(folder: Path, *words: str) -> Ended:
    command = [sys.executable, "-m", "starter", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def state(folder: Path) -> tuple[str, str]:
    return git(folder, "rev-parse", "HEAD"), git(folder, "status", "--porcelain")


def test_a_verb_is_one_commit_that_can_be_taken_back(folder: Path) -> None:
    before = state(folder)
    ended = starter(folder, "feature", "quokkas")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "A  service/quokkas/models.py" in ended.stdout.splitlines()
    assert "A feature: quokkas: 9 files, one commit." in ended.stdout
    assert git(folder, "rev-parse", "HEAD^") == before[0]
    assert git(folder, "status", "--porcelain") == ""
    # What it was made of is written down by the first verb.
    assert f'commit = "{before[0]}"' in (folder / "pyproject.toml").read_text()
    git(folder, "reset", "--hard", "--quiet", "HEAD~1")
    assert state(folder) == before


def untracked(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")


def changed(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("mine")


def staged(folder: Path) -> None:
    changed(folder)
    git(folder, "add", "--all")


@pytest.mark.parametrize("dirty", [untracked, changed, staged])
@pytest.mark.parametrize("words", ["rename acme-parcels", "update"])
def test_a_dirty_tree_is_refused(folder: Path, dirty: Callable[[Path], None], words: str) -> None:
    dirty(folder)
    before = state(folder)
    ended = starter(folder, *words.split())
    assert (ended.returncode, ended.stdout) == (1, "")
    assert " is not committed: git commit or git stash first" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert state(folder) == before


def test_what_git_ignores_is_nobody_s_business(folder: Path) -> None:
    (folder / ".env").write_text("SECRET=mine")
    assert starter(folder, "feature", "quokkas").returncode == 0
    assert (folder / ".env").read_text() == "SECRET=mine"
    assert ".env" not in git(folder, "ls-files").splitlines()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("rename my_product", "rename: 'my_product' is no name for a product"),
        ("feature Quokkas", "feature: 'Quokkas' is no name of a feature"),
        ("target-remove geocities", "target-remove: 'geocities' is no target"),
        ("update", "update: nobody has said where the template is"),
    ],
)
def test_what_is_refused_is_a_line_and_changes_nothing(folder: Path, words: str, said: str) -> None:
    before = state(folder)
    ended = starter(folder, *words.split())
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(said)
    assert len(ended.stderr.splitlines()) == 1
    assert state(folder) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "VERB"),
        (["rename"], "NAME"),
        (["rename", ""], "NAME=… is needed"),
        (["feature", " "], "NAME=… is needed"),
        (["target-remove", ""], "TARGET=… is needed"),
        (["sell"], "invalid choice"),
    ],
)
def test_wrong_usage_exits_with_2(folder: Path, words: list[str], said: str) -> None:
    ended = starter(folder, *words)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr


def test_a_folder_without_git_is_told_what_to_do(folder: Path, tmp_path: Path) -> None:
    (folder / ".git").rename(tmp_path / "elsewhere")
    ended = starter(folder, "feature", "quokkas")
    assert ended.returncode == 1
    assert "is not the root of a git repository with a commit: git init" in ended.stderr
    git(folder, "init", "--quiet")
    assert "with a commit" in starter(folder, "feature", "quokkas").stderr


def test_who_has_no_name_in_git_is_told_how_to_have_one(folder: Path) -> None:
    git(folder, "config", "user.useConfigOnly", "true")
    git(folder, "config", "--unset", "user.email")
    nobody = ["env", "GIT_CONFIG_GLOBAL=/dev/null", sys.executable, "-m", "starter"]
    command = [*nobody, "feature", "quokkas"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr == (
        "feature: git does not know who you are: git config user.name and user.email\n"
    )


def test_a_pyproject_without_its_table_is_refused(folder: Path) -> None:
    text = (folder / "pyproject.toml").read_text()
    commit(folder, "less", {"pyproject.toml": text.replace("[tool.starter]", "[tool.mine]")})
    ended = starter(folder, "feature", "quokkas")
    assert ended.returncode == 1
    assert "pyproject.toml has no line `commit = …` below [tool.starter]" in ended.stderr
