"""Feature flags: whom they are on for, what is refused, and the example of docs/flags.md."""

import re
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from service import doctor, flags
from service.environment import ROOT
from service.flags import Flag
from service.ids import uuid7
from service.settings import Settings
from service.sources import SettingsError
from service.variables import share
from tests.conftest import make_settings

NEW = Flag("new_export", "exports are streamed")
OTHER = Flag("other", "something else")
USERS = [uuid7() for _ in range(4000)]

SetFlag = Callable[[Flag, str], None]


def on_for(flag: Flag, users: list[UUID] = USERS) -> set[UUID]:
    return {user for user in users if flag.is_on(user)}


def test_a_flag_that_nobody_has_set_is_off(app: Flask) -> None:
    with app.app_context():
        assert on_for(NEW) == set()
        assert not NEW.is_on()


def test_on_is_on_for_all_and_off_for_nobody(app: Flask, set_flag: SetFlag) -> None:
    with app.app_context():
        set_flag(NEW, "on")
        assert on_for(NEW) == set(USERS)
        assert NEW.is_on()
        set_flag(NEW, "off")
        assert on_for(NEW) == set()


def test_a_share_is_that_share_of_the_users(app: Flask, set_flag: SetFlag) -> None:
    with app.app_context():
        set_flag(NEW, "25%")
        assert 0.21 < len(on_for(NEW)) / len(USERS) < 0.29


def test_who_has_it_keeps_it_as_the_share_grows(app: Flask, set_flag: SetFlag) -> None:
    with app.app_context():
        had: set[UUID] = set()
        for text in ("0.5%", "10%", "10%", "50%", "99.9%", "100%"):
            set_flag(NEW, text)
            assert had <= (had := on_for(NEW)), text
        assert had == set(USERS)


def test_two_flags_are_on_for_different_users(app: Flask, set_flag: SetFlag) -> None:
    """Or the same few would have every risk first."""
    with app.app_context():
        set_flag(NEW, "10%")
        set_flag(OTHER, "10%")
        both = on_for(NEW) & on_for(OTHER)
        assert len(both) / len(USERS) < 0.03


def test_who_is_not_signed_in_has_what_all_have(app: Flask, set_flag: SetFlag) -> None:
    with app.app_context():
        set_flag(NEW, "99%")
        assert not NEW.is_on()
        set_flag(NEW, "100%")
        assert NEW.is_on()


def test_it_is_the_same_in_every_process_and_release() -> None:
    """Written down: a change of it would give the flag to other users."""
    app = Flask("another process")
    app.extensions["flags"] = {"new_export": 0.25}
    users = [UUID(int=number) for number in range(12)]
    with app.app_context():
        assert [user.int for user in users if NEW.is_on(user)] == EXPECTED


EXPECTED = [0, 2, 3, 4, 6, 8, 10]


@given(st.integers(0, 100), st.integers(0, 9))
def test_each_share_is_read(whole: int, tenth: int) -> None:
    text = f"{whole}.{tenth}%" if tenth and whole < 100 else f"{whole}%"
    assert 0 <= share(text) <= 1


@pytest.mark.parametrize("text", ["true", "1", "25", "25 %", "101%", "-1%", "ON", "", "100.5%"])
def test_anything_else_is_refused_by_name(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in (("DATABASE_URL", "x"), ("FLAG_NEW_EXPORT", text or " ")):
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load(tmp_path / ".env")
    said = dict(caught.value.problems)["FLAG_NEW_EXPORT"]
    assert said.endswith("must be on, off or a share of the users, such as 25%")


def test_the_settings_have_what_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = {"APP_ENV": "test", "JWT_SECRET": "x", "SECRETS_FROM": ""}
    values |= {"DATABASE_URL": "postgresql://h/d", "REDIS_URL": "redis://h/0"}
    for name, value in (values | {"FLAG_NEW_EXPORT": "25%"}).items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".env").write_text("FLAG_NEW_EXPORT=on\nFLAG_OTHER=on\n")
    assert Settings.load(tmp_path / ".env").flags == {"new_export": 0.25, "other": 1.0}


def test_the_doctor_lists_flags_and_warns_of_what_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(flags, "FLAGS", (NEW, OTHER))
    settings = make_settings("postgresql://127.0.0.1:1/d", "redis://127.0.0.1:1/0")
    settings._flags.update({"new_export": 0.25, "old_export": 1.0})
    doctor.run(settings, "203.0.113.7", "10.0.0.1", as_json=False)
    said = capsys.readouterr().out
    assert "  new_export  on for 25%: exports are streamed" in said
    assert "  other  on for 0%: something else" in said
    assert "Warning: FLAG_OLD_EXPORT is set, and no flag of the service" in said


def test_every_flag_has_a_name_that_a_variable_can_have() -> None:
    names = [flag.name for flag in flags.FLAGS]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)


def example() -> str:
    """The Python of docs/flags.md."""
    return "\n".join(re.findall(r"```python\n(.*?)```", (ROOT / "docs/flags.md").read_text(), re.S))


def test_the_example_of_the_documentation_does_what_it_says(app: Flask, set_flag: SetFlag) -> None:
    found: dict[str, object] = {}
    exec(compile(example(), "docs/flags.md", "exec"), found)
    flag, export = found["NEW_EXPORT"], found["export"]
    assert isinstance(flag, Flag) and callable(export)
    with app.app_context():
        assert export(uuid4()) == "as before"
        set_flag(flag, "on")
        assert export(uuid4()) == "streamed"
