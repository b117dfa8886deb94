"""`.env.example` is the reference of the configuration: it says what the class says."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from service.environment import ROOT, is_secret, variable
from service.settings import Settings
from service.sources import SettingsError
from service.variables import PLACEHOLDER

EXAMPLE = ROOT / ".env.example"
FIELDS = {variable(name, field): field for name, field in Settings.model_fields.items()}
SECRETS = {name for name, field in FIELDS.items() if is_secret(field)}


class Entry(NamedTuple):
    group: str
    description: str
    optional: bool
    name: str
    value: str


def entries() -> list[Entry]:
    """What stands below the head, in its order."""
    found, group = [], ""
    for block in EXAMPLE.read_text().split("\n\n")[1:]:
        if heading := re.fullmatch(r"# --- (\w+) ---", block):
            group = heading[1]
            continue
        entry = re.fullmatch(r"# (.+)\n(# )?([A-Z0-9_]+)=(.*)", block.strip())
        assert entry, block
        found.append(Entry(group, entry[1], bool(entry[2]), entry[3], entry[4]))
    return found


def groups_of_the_class() -> list[tuple[str, str]]:
    """(group, variable) as the comments in the source have it."""
    found, group = [], ""
    for line in (ROOT / "service" / "settings.py").read_text().splitlines():
        if heading := re.match(r"    # --- (\w+) -", line):
            group = heading[1]
        elif (field := re.match(r"    (\w+): ", line)) and field[1] in Settings.model_fields:
            found.append((group, variable(field[1], Settings.model_fields[field[1]])))
    return found


def written(folder: Path, *, uncomment: bool, changes: dict[str, str] | None = None) -> Path:
    """A copy as `.env`, with everything or only what is required."""
    lines = [
        f"{each.name}='{(changes or {}).get(each.name, each.value)}'\n"
        for each in entries()
        if uncomment or not each.optional
    ]
    (folder / ".env").write_text("".join(lines))
    return folder / ".env"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FIELDS:
        monkeypatch.delenv(name, raising=False)


def test_it_has_every_setting_in_the_order_and_groups_of_the_class() -> None:
    assert [(each.group, each.name) for each in entries()] == groups_of_the_class()
    assert [each.name for each in entries()] == list(FIELDS)


def test_it_describes_each_setting_in_the_words_of_the_class() -> None:
    assert {each.name: each.description for each in entries()} == {
        name: field.description for name, field in FIELDS.items()
    }


def test_what_is_commented_out_is_what_has_a_default() -> None:
    optional = {each.name for each in entries() if each.optional}
    assert optional == {name for name, field in FIELDS.items() if not field.is_required()}


def test_what_it_says_is_the_default(tmp_path: Path) -> None:
    none = dict.fromkeys(SECRETS, "") | {"JWT_SECRET": "x" * 32}
    none |= {"DATABASE_URL": "postgresql://h/d", "REDIS_URL": "redis://h/0"}
    found = Settings.load(written(tmp_path, uncomment=True, changes=none))
    for name, field in Settings.model_fields.items():
        if not field.is_required():
            assert getattr(found, name) == field.default, name


def test_secrets_and_nothing_else_are_placeholders() -> None:
    assert {each.name for each in entries() if PLACEHOLDER in each.value} == SECRETS


def test_a_plain_copy_is_refused_in_production(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(written(tmp_path, uncomment=False))
    assert [name for name, _ in caught.value.problems] == [
        "DATABASE_URL",
        "REDIS_URL",
        "JWT_SECRET",
    ]


def test_every_placeholder_is_refused_in_production(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(written(tmp_path, uncomment=True))
    refused = {name for name, said in caught.value.problems if "placeholder" in said}
    assert refused == SECRETS


def test_a_copy_is_accepted_in_development(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_ENV", "development")
    assert Settings.load(written(tmp_path, uncomment=True)).app_env == "development"
