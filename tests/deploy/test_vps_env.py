"""The variables on a server: read as the service reads them, changed, and shown without secrets."""

from io import StringIO
from pathlib import Path

import pytest
from dotenv import dotenv_values

from deploy.shell import Failed
from deploy.vps.host import layout, variables
from deploy.vps.host.envfile import changed, pairs, values
from service.environment import is_secret, variable
from service.settings import Settings
from tests.deploy.vps_host import make_host

VALUES = [
    "plain",
    "",
    "https://user:p%40ss@host:5432/name?sslmode=require&x=y",
    "100 per 15 minutes",
    "a #b",
    "#b",
    "it's",
    'he said "no"',
    "back\\slash",
    "\\'",
    "\\",
    "$HOME and $(id) and `id`",
    "a=b=c",
    "ünïcode",
    "'quoted'",
    '"quoted"',
    "  spaces  inside",
]


@pytest.mark.parametrize("value", VALUES)
def test_what_is_written_is_what_the_service_reads(value: str) -> None:
    text = changed("A=1\nNAME=old\n# NAME=comment\nB='2'\n", {"NAME": value, "NEW": value})
    read = dotenv_values(stream=StringIO(text))
    assert read == values(text)
    assert read == {"A": "1", "NAME": value, "B": "2", "NEW": value}


@pytest.mark.parametrize(
    "line",
    [
        *("A=1", "export A=1", " A = 1 ", "A='1 #2' # three", 'A="1\\n2"', "A=1 # two", "A=1#2"),
        *(
            "A=",
            "A=''",
            'A="\\"1\\""',
            "# A=1",
            "",
            "A='\\'1\\\\'",
            'A="a\\\\b"',
            "A=# x",
            "A=1\tx",
        ),
    ],
)
def test_lines_of_others_are_read_as_the_service_reads_them(line: str) -> None:
    assert values(f"{line}\nZ=9\n") == dotenv_values(stream=StringIO(f"{line}\nZ=9\n"))


def test_a_value_over_several_lines_is_refused_by_its_line() -> None:
    with pytest.raises(Failed, match="line 2 begins with a quote"):
        values("A=1\nKEY='first\nsecond'\n")


def test_what_is_not_asked_for_stays_as_it_is() -> None:
    text = "# ours\nA=1\n\nexport B='2' # two\nC=3\n"
    assert changed(text, {"A": "4"}, ("C",)) == "# ours\nA=4\n\nexport B='2' # two\n"
    assert changed("A=1\nA=2\n", {"A": "3"}) == "A=3\n"
    assert changed(text, {}) == text


def test_pairs_are_read_as_they_are() -> None:
    said = 'A=1\n\nB= it\'s "so" # really \nC==\n'
    assert pairs(said) == {"A": "1", "B": 'it\'s "so" # really', "C": "="}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "nothing was given"),
        ("\n \n", "nothing was given"),
        ("A=1\nhunter2", "line 2 is not NAME=VALUE"),
        ("lower=1", "line 1 is not NAME=VALUE"),
        ("A B=1", "line 1 is not NAME=VALUE"),
        ("=hunter2", "line 1 is not NAME=VALUE"),
        ("A=hunter2${B}", "A has"),
        ("A=hunter2\x07", "A has characters"),
    ],
)
def test_pairs_that_are_none_are_refused_without_their_values(said: str, why: str) -> None:
    with pytest.raises(Failed, match=why) as failure:
        pairs(said)
    assert "hunter2" not in str(failure.value)


@pytest.mark.parametrize(
    ("name", "value", "about", "shown"),
    [
        ("LOG_LEVEL", "DEBUG", {"secret": False, "value": "DEBUG"}, "DEBUG"),
        ("JWT_SECRET", "hunter2", {"secret": True, "value": "(set)"}, "(set)"),
        (
            "DATABASE_URL",
            "x://u:hunter2@h",
            {"secret": True, "value": "x://u:***@h"},
            "x://u:***@h",
        ),
        ("SECRETIVE", "no", {"secret": False, "value": "no"}, "no"),
        ("UNKNOWN", "plain", None, "plain"),
        ("STRIPE_KEY", "hunter2", None, "(set)"),
        ("MY_TOKEN", "hunter2", None, "(set)"),
        ("OTHER_URL", "https://u:hunter2@h", None, "(set)"),
        ("OTHER_URL", "https://h/path", None, "https://h/path"),
    ],
)
def test_secrets_are_not_shown(
    name: str, value: str, about: dict[str, object] | None, shown: str
) -> None:
    assert variables.shown(name, value, {name: about}.get) == shown


def test_a_secret_of_the_service_is_not_shown_though_it_cannot_be_asked() -> None:
    fields = Settings.model_fields
    secrets = [name for name in fields if is_secret(fields[name])]
    assert len(secrets) > 8
    shown = {
        name: variables.shown(variable(name, fields[name]), "a value", {}.get) for name in secrets
    }
    addresses = {name for name in secrets if name.endswith("_url")}  # hidden if one has a password
    assert {name for name in secrets if shown[name] != variables.HIDDEN} <= addresses


def test_before_the_first_release_they_are_kept_for_it(tmp_path: Path) -> None:
    host, played = make_host(tmp_path)
    variables.change(host, {"LOG_LEVEL": "DEBUG"}, (), "alice")
    assert played.ran == []
    assert host.layout.env_current.read_text().endswith("LOG_LEVEL=DEBUG\n")
    assert host.layout.env_current.resolve().stat().st_mode & 0o777 == 0o640
    shown = dict(variables.listed(host))
    assert shown == {"DATABASE_URL": "(set)", "SMOKE_TOKEN": "(set)", "LOG_LEVEL": "DEBUG"}


def test_without_variables_none_are_listed(tmp_path: Path) -> None:
    host, _ = make_host(tmp_path)
    host.layout.env_current.unlink()
    assert layout.target(host.layout.env_current) is None
    assert variables.listed(host) == []
