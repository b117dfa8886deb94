"""The documentation's site: what it has in it, and that what leads nowhere is found."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy import readiness
from deploy.targets import TARGETS
from docs import pages
from service.environment import ROOT, is_secret, variable
from service.settings import Settings
from tests import site
from tests.test_env_example import entries

FIELDS = {variable(name, field): field for name, field in Settings.model_fields.items()}
PARTS = ("Context", "Decision", "Consequences")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    ended = subprocess.run(site.build(ROOT, folder), cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A repository with two pages, that is well."""
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "conf.py", tmp_path / "docs")
    (tmp_path / "README.md").write_text("# A\n\n[b](docs/b.md#there), [c](Dockerfile)\n")
    (tmp_path / "docs" / "b.md").write_text("# B\n\n## There\n\n`docs/b.md`\n")
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path


def problems(root: Path) -> list[str]:
    made = root / ".site"
    ended = subprocess.run(site.build(root, made), cwd=ROOT, capture_output=True, text=True)
    dead = list(site.dead_links(made)) if made.exists() else []
    return [*ended.stderr.splitlines(), *dead, *site.files_that_are_not_there(root)]


def test_a_site_that_is_well_has_no_problems(small: Path) -> None:
    assert problems(small) == []
    assert (small / ".site" / "index.html").is_file()


WRONG = {
    "[x](docs/nowhere.md)": "README.md:5: .*'docs/nowhere.md'",
    "[x](docs/b.md#nowhere)": "README.md:7: .*'nowhere'",
    "[x](nowhere.conf)": "README.md:9: .*'nowhere.conf'",
    "[x](#nowhere)": "README.md:11: .*'nowhere'",
    "See `docs/nowhere.py`.": "README.md:13: docs/nowhere.py is not there",
    '<img src="https://example.com/x.png">': "README.html loads https://example.com/x.png",
    '<a href="nowhere.html">x</a>': "README.html leads to nowhere.html, which is not there",
    '<a href="docs/b.html#no">x</a>': "README.html leads to docs/b.html#no, and there is no such",
}


def test_what_leads_nowhere_is_found(small: Path) -> None:
    page = small / "README.md"
    page.write_text(page.read_text() + "".join(f"\n{line}\n" for line in WRONG))
    found = problems(small)
    for line, said in WRONG.items():
        assert any(re.search(said, problem) for problem in found), (line, found)


def test_every_page_has_a_place_and_is_built(built: Path) -> None:
    found = pages.navigation(ROOT)
    listed = [page for each in found.values() for page in each]
    assert len(listed) == len(set(listed))
    written = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")}
    assert written <= set(listed)
    assert {f"deploy/{target}/README.md" for target in (*TARGETS, "docker", "vps")} <= set(listed)
    for page in [*listed, pages.FIRST]:
        assert (built / page).with_suffix(".html").is_file(), page
    front = site.Page((built / "index.html").read_text())
    assert {page.replace(".md", ".html") for page in listed} <= set(front.links)


def test_a_page_that_is_named_but_not_there_is_left_out(small: Path) -> None:
    assert pages.navigation(small) == {"How it works": ["docs/b.md"]}
    (small / "docs" / "secrets.md").write_text("# Secrets\n")
    assert pages.navigation(small)["Operate"] == ["docs/secrets.md"]


def test_the_configuration_has_every_variable_as_the_class_has_it(built: Path) -> None:
    rows = [row for row in pages.settings(ROOT) if row.startswith("| `")]
    shown = {row.split("`")[1]: [cell.strip() for cell in row.split("|")[2:4]] for row in rows}
    assert list(shown) == list(FIELDS)
    text = (built / "docs" / "configuration.html").read_text()
    for name, field in FIELDS.items():
        assert f">{name}</span>" in text, name
        default, description = shown[name]
        assert description == field.description
        assert ("secret" in default) == is_secret(field)
        assert ("required" in default) == field.is_required()


def test_its_defaults_are_those_of_the_example(built: Path) -> None:
    rows = [row for row in pages.settings(ROOT) if row.startswith("| `")]
    shown = {row.split("`")[1]: row.split("|")[2].strip().strip("`") for row in rows}
    for each in entries():
        if each.optional and not is_secret(FIELDS[each.name]) and not FIELDS[each.name].alias:
            assert (
                shown[each.name].replace("per 15m", "per 15 minutes").replace("per 1h", "per hour")
                == each.value
            ), each.name


def test_a_setting_of_yours_is_in_it_at_once(tmp_path: Path) -> None:
    """Not from a copy: the table is made of the class and its file."""
    (tmp_path / "service").mkdir()
    text = (ROOT / "service" / "settings.py").read_text()
    moved = text.replace("    # --- Mail -", "    # --- Post office -")
    (tmp_path / "service" / "settings.py").write_text(moved)
    assert "## Post office" in list(pages.settings(tmp_path))


def test_the_checklist_has_every_item(built: Path) -> None:
    text = (built / "docs" / "checklist.html").read_text()
    for heading, items in readiness.ITEMS.items():
        assert f">{heading}<" in text
        for item in items:
            assert f"<p>{readiness.name(item)}</p>" in text


def test_a_decision_is_short_and_says_why_and_at_what_price() -> None:
    text = (ROOT / "docs" / "decisions.md").read_text()
    decisions = text.split("\n## ")[1:]
    assert len(decisions) >= 8
    for number, decision in enumerate(decisions, 1):
        assert decision.startswith(f"{number}. ")
        assert len(decision.strip().splitlines()) <= 15
        assert tuple(re.findall(r"^\*\*(\w+)\.\*\* ", decision, re.M)) == PARTS
