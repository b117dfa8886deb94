"""`make update`: a clone takes what its template has changed since, as git merges it."""

from pathlib import Path

import pytest

from starter import record, sample, target, update
from starter.names import Name
from starter.refusal import Refused
from starter.rename import respell
from starter.repository import Repository
from starter.tree import Tree
from tests.starter.git import commit, git

PROJECT = """[project]
name = "harbour"
version = "1"

[tool.starter]
upstream = ""
commit = ""
removed = []
"""
PARTS = """[sample]
files = ["service/posts.py"]
[fly]
files = ["fly.toml", "deploy/fly"]
"""
TEMPLATE = {
    "pyproject.toml": PROJECT,
    "starter/parts.toml": PARTS,
    "README.md": "# Harbour\n\nOf harbour, as it was.\n",
    "render.yaml": "name: harbour\nplan: small\n",
    "fly.toml": "app = 'harbour'\n",
    "service/app.py": "from service import posts  # sample\n\nNAME = 'harbour'\n\n\nROUTES = 1\n",
    "service/posts.py": "SAMPLE = 1\n",
    "service/limits.py": "LIMIT = 100\n",
    "migrations/versions/1.py": 'revision = "1"\ndown_revision = None\n',
}


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """The template's repository, with one version of it."""
    folder = tmp_path / "template"
    folder.mkdir()
    commit(folder, "first", TEMPLATE)
    return folder


@pytest.fixture
def ours(template: Path, tmp_path: Path) -> Repository:
    """A clone of it, which shares its history."""
    git(tmp_path, "clone", "--quiet", str(template), "ours")
    for name in ("user.name", "user.email"):
        git(tmp_path / "ours", "config", name, git(template, "config", name))
    return Repository(tmp_path / "ours")


def made_own(ours: Repository) -> None:
    """Renamed, and without the sample and a target."""
    with ours.tree() as tree:
        sample.remove(tree, deployed=False)
        target.remove(tree, "fly")
        respell(tree, Name("my-shop"))
        record.write(tree, commit=ours.git("rev-parse", "HEAD"))
        ours.advance(ours.commit(tree, "ours", "HEAD"))


def take(ours: Repository, template: Path, **more: str) -> int:
    given = {"upstream": str(template), "branch": "", "since": ""} | more
    return update.run(ours, dry_run=False, **given)


def text(ours: Repository, name: str) -> str:
    return (ours.root / name).read_text()


def said(ours: Repository) -> record.Record:
    return record.read(Tree(ours.root))


def test_what_the_template_has_changed_comes_in_as_one_commit_of_ours(
    ours: Repository, template: Path
) -> None:
    commit(ours.root, "mine", {"service/mine.py": "MINE = 1\n", "render.yaml": "name: harbour\n"})
    new = commit(template, "later", {"service/limits.py": "LIMIT = 200\n", "docs/new.md": "new\n"})
    before = ours.git("rev-parse", "HEAD")
    assert take(ours, template) == 0
    assert (text(ours, "service/limits.py"), text(ours, "docs/new.md")) == (
        "LIMIT = 200\n",
        "new\n",
    )
    assert text(ours, "render.yaml") == "name: harbour\n"
    assert text(ours, "service/mine.py") == "MINE = 1\n"
    assert ours.git("rev-parse", "HEAD^") == before
    assert (
        ours.git("log", "-1", "--format=%an %s") == f"alice The template's changes up to {new[:12]}"
    )
    assert (said(ours).commit, said(ours).upstream) == (new, str(template))
    assert git(ours.root, "status", "--porcelain") == ""


def test_a_second_update_goes_on_from_the_first(
    ours: Repository, template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(template, "one", {"service/limits.py": "LIMIT = 200\n"})
    assert take(ours, template) == 0
    commit(ours.root, "mine", {"service/limits.py": "LIMIT = 7\n"})
    commit(template, "two", {"docs/two.md": "two\n"})
    assert take(ours, template, upstream="") == 0
    assert (text(ours, "service/limits.py"), text(ours, "docs/two.md")) == ("LIMIT = 7\n", "two\n")
    capsys.readouterr()
    assert take(ours, template) == 0
    assert capsys.readouterr().out.startswith(f"Up to date with {template}, ")


def test_a_renamed_clone_without_sample_and_target_has_no_conflicts(
    ours: Repository, template: Path
) -> None:
    made_own(ours)
    commit(
        template,
        "later",
        {
            "README.md": "# Harbour\n\nOf harbour, as it is.\n",
            "render.yaml": "name: harbour\nplan: large\n",
            "fly.toml": "app = 'harbour'\nregion = 'fra'\n",
            "deploy/fly/README.md": "harbour\n",
            "service/posts.py": "SAMPLE = 2\n",
            "service/app.py": TEMPLATE["service/app.py"].replace("= 1", "= 2"),
            "deploy/vps/units/harbour-web@.service": "User=harbour\n",
        },
    )
    assert take(ours, template) == 0
    assert text(ours, "README.md") == "# My Shop\n\nOf my-shop, as it is.\n"
    assert text(ours, "render.yaml") == "name: my-shop\nplan: large\n"
    assert text(ours, "service/app.py") == 'NAME = "my-shop"\n\n\nROUTES = 2\n'
    assert text(ours, "deploy/vps/units/my_shop-web@.service") == "User=my_shop\n"
    names = git(ours.root, "ls-files").splitlines()
    assert [name for name in names if "fly" in name or "posts" in name or "harbour" in name] == []


def test_what_both_have_changed_is_a_conflict_as_git_has_it(
    ours: Repository, template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, first = (
        commit(ours.root, "mine", {"service/limits.py": "LIMIT = 7\n"}),
        said(ours).commit,
    )
    new = commit(template, "later", {"service/limits.py": "LIMIT = 200\n", "docs/new.md": "new\n"})
    assert take(ours, template) == 1
    out = capsys.readouterr().out
    assert "CONFLICT (content): Merge conflict in service/limits.py" in out
    assert "1 of 3 files are in conflict" in out
    assert "<<<<<<< HEAD\nLIMIT = 7\n=======\nLIMIT = 200\n>>>>>>> " in text(
        ours, "service/limits.py"
    )
    assert ours.git("rev-parse", "HEAD") == before
    git(ours.root, "cherry-pick", "--abort")
    assert (said(ours).commit, git(ours.root, "status", "--porcelain")) == (first, "")
    assert take(ours, template) == 1
    (ours.root / "service/limits.py").write_text("LIMIT = 207\n")
    git(ours.root, "add", "service/limits.py")
    git(ours.root, "-c", "core.editor=true", "cherry-pick", "--continue")
    assert (said(ours).commit, text(ours, "docs/new.md")) == (new, "new\n")


def test_what_the_template_deletes_and_we_have_changed_is_a_conflict(
    ours: Repository, template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(ours.root, "mine", {"service/limits.py": "LIMIT = 7\n"})
    commit(template, "later", {"service/limits.py": None})
    assert take(ours, template) == 1
    assert "CONFLICT (modify/delete): service/limits.py deleted in " in capsys.readouterr().out
    assert text(ours, "service/limits.py") == "LIMIT = 7\n"


def test_a_dry_run_lists_files_and_changes_nothing(
    ours: Repository, template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_own(ours)
    before = ours.git("rev-parse", "HEAD")
    commit(template, "later", {"render.yaml": "name: harbour\nplan: large\n", "fly.toml": "x\n"})
    assert update.run(ours, str(template), "", "", dry_run=True) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["M  pyproject.toml", "M  render.yaml"]
    assert "2 files of the template have changed" in lines[-1]
    assert ours.git("rev-parse", "HEAD") == before
    assert git(ours.root, "status", "--porcelain") == ""


def test_a_clone_without_the_template_s_history_is_found_by_its_content(
    template: Path, tmp_path: Path
) -> None:
    """As GitHub's "Use this template" makes it."""
    (tmp_path / "own").mkdir()
    commit(tmp_path / "own", "Initial commit", TEMPLATE)
    ours = Repository(tmp_path / "own")
    made_own(ours)
    commit(template, "later", {"render.yaml": "name: harbour\nplan: large\n"})
    assert take(ours, template) == 0
    assert text(ours, "render.yaml") == "name: my-shop\nplan: large\n"


def test_who_began_anew_after_the_first_command_is_found_by_what_that_wrote_down(
    ours: Repository, template: Path, tmp_path: Path
) -> None:
    made_own(ours)
    files = {name: text(ours, name) for name in git(ours.root, "ls-files").splitlines()}
    (tmp_path / "anew").mkdir()
    commit(tmp_path / "anew", "all of it", files)
    commit(template, "later", {"docs/new.md": "new\n"})
    assert take(Repository(tmp_path / "anew"), template) == 0
    assert (tmp_path / "anew" / "docs" / "new.md").read_text() == "new\n"


def test_a_commit_that_nobody_knows_is_said_once(template: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    changed = {**TEMPLATE, "README.md": "# Mine\n"}
    changed["pyproject.toml"] = PROJECT.replace('commit = ""', f'commit = "{"0" * 40}"')
    commit(tmp_path / "own", "changed at once", changed)
    ours, first = Repository(tmp_path / "own"), git(template, "rev-parse", "HEAD")
    commit(template, "later", {"docs/new.md": "new\n"})
    with pytest.raises(Refused, match=r"is not known: .*make update SINCE=commit"):
        take(ours, template)
    with pytest.raises(Refused, match=r"SINCE=nothing is no commit of the template's history"):
        take(ours, template, since="nothing")
    assert take(ours, template, since=first[:10]) == 0
    assert text(ours, "docs/new.md") == "new\n"


@pytest.mark.parametrize(
    ("where", "branch", "said"),
    [
        ("", "", "nobody has said where the template is: make update UPSTREAM=git-url"),
        ("/no/such/repository", "", "/no/such/repository cannot be fetched: .*does not"),
        ("--upload-pack=id", "", "--upload-pack=id cannot be fetched: "),
        ("ext::sh -c id", "", "cannot be fetched: .*'ext' not allowed"),
        ("{template}", "no-such-branch", "cannot be fetched: .*no-such-branch"),
    ],
)
def test_an_upstream_that_cannot_be_had_is_refused_in_a_line(
    ours: Repository, template: Path, where: str, branch: str, said: str
) -> None:
    with pytest.raises(Refused, match=said) as caught:
        take(ours, template, upstream=where.format(template=template), branch=branch)
    assert len(str(caught.value).splitlines()) == 1


def test_a_branch_or_tag_may_be_named(ours: Repository, template: Path) -> None:
    new = commit(template, "later", {"docs/new.md": "new\n"})
    git(template, "tag", "v2")
    commit(template, "latest", {"docs/newest.md": "newest\n"})
    assert take(ours, template, branch="v2") == 0
    assert said(ours).commit == new
    assert not (ours.root / "docs/newest.md").exists()


def test_a_revision_of_the_sample_that_was_kept_stays_below_what_comes_after_it(
    template: Path, tmp_path: Path
) -> None:
    body = "\n\ndef upgrade():\n    pass\n\n\ndef downgrade():\n    pass\n"
    parts = PARTS.replace('"service/posts.py"', '"service/posts.py", "migrations/versions/2.py"')
    second = 'revision = "2"\ndown_revision = "1"\n' + body
    commit(template, "two", {"migrations/versions/2.py": second, "starter/parts.toml": parts})
    for name in ("kept", "gone"):
        git(tmp_path, "clone", "--quiet", str(template), name)
        for key in ("user.name", "user.email"):
            git(tmp_path / name, "config", key, git(template, "config", key))
    for name in ("kept", "gone"):
        ours = Repository(tmp_path / name)
        with ours.tree() as tree:
            sample.remove(tree, deployed=name == "kept")
            ours.advance(ours.commit(tree, "without the sample", "HEAD"))
    commit(template, "three", {"migrations/versions/3.py": 'revision = "3"\ndown_revision = "2"\n'})
    for name, below in (("kept", "2"), ("gone", "1")):
        ours = Repository(tmp_path / name)
        assert take(ours, template) == 0
        assert f'down_revision = "{below}"' in text(ours, "migrations/versions/3.py")
