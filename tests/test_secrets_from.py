"""SECRETS_FROM among the other sources of settings: what comes from where, and what is refused."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service import healthcheck, pulse, secretstore
from service.__main__ import main
from service.environment import ROOT, is_secret, variable
from service.settings import Settings
from service.sources import SettingsError
from tests.ports import free_port
from tests.test_settings import NO_DOTENV, SECRET, VALID
from tests.vault import ROOT_TOKEN, Vault, running

OTHER = f"{SECRET}-of-the-store"
HELD = {**VALID, "JWT_SECRET": OTHER}

Load = Callable[..., Settings]


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {variable(name, field) for name, field in Settings.model_fields.items()}
    for name in os.environ:
        if name.removesuffix("_FILE") in names:
            monkeypatch.delenv(name)


@pytest.fixture
def server() -> Iterator[Vault]:
    secretstore._kept.clear()  # of another test's, if this one gets its port
    with running() as started:
        started.secrets["app"] = dict(HELD)
        yield started


@pytest.fixture
def load(server: Vault, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load settings from the store and these variables."""

    def from_variables(dotenv: Path = NO_DOTENV, **variables: str) -> Settings:
        store = {"SECRETS_FROM": "vault://kv/app", "VAULT_ADDR": server.url}
        for name, value in (store | {"VAULT_TOKEN": ROOT_TOKEN} | variables).items():
            monkeypatch.setenv(name, value)
        return Settings.load(dotenv)

    return from_variables


def problems(load: Load, **variables: str) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        load(**variables)
    assert SECRET not in str(caught.value)
    assert ROOT_TOKEN not in str(caught.value)
    return dict(caught.value.problems)


def test_what_the_environment_has_not_the_store_has(load: Load) -> None:
    found = load(PORT="8001")
    assert found.jwt_secret.get_secret_value() == OTHER
    assert (found.port, found.metrics_token) == (8001, None)
    assert found.origin("jwt_secret") == "SECRETS_FROM vault://kv/app"
    assert found.origin("port") == "environment"


def test_it_may_be_named_in_dotenv(server: Vault, tmp_path: Path) -> None:
    lines = f"SECRETS_FROM=vault://kv/app\nVAULT_ADDR={server.url}\nVAULT_TOKEN={ROOT_TOKEN}\n"
    (tmp_path / ".env").write_text(lines)
    assert Settings.load(tmp_path / ".env").jwt_secret.get_secret_value() == OTHER


def test_its_token_may_be_in_a_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "sink").write_text(f"{ROOT_TOKEN}\n")
    found = load(VAULT_TOKEN="", VAULT_TOKEN_FILE=str(tmp_path / "sink"))
    assert found.jwt_secret.get_secret_value() == OTHER


def test_a_secret_has_one_source(load: Load, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    said = "contradicts SECRETS_FROM, which has another value: keep one of the two"
    assert problems(load, JWT_SECRET=SECRET) == {"JWT_SECRET": said}
    assert problems(load, JWT_SECRET="", JWT_SECRET_FILE=str(tmp_path / "secret")) == {
        "JWT_SECRET": said
    }
    (tmp_path / ".env").write_text(f"JWT_SECRET={SECRET}\n")
    assert problems(load, dotenv=tmp_path / ".env") == {"JWT_SECRET": said}


def test_who_moves_a_secret_to_the_store_may_have_it_twice(load: Load) -> None:
    assert load(JWT_SECRET=OTHER).jwt_secret.get_secret_value() == OTHER


def test_who_develops_may_override_what_the_store_has(load: Load) -> None:
    found = load(APP_ENV="development", JWT_SECRET=SECRET)
    assert found.jwt_secret.get_secret_value() == SECRET
    assert found.origin("jwt_secret") == "environment"


def test_a_secret_that_it_lacks_is_told(load: Load, server: Vault) -> None:
    server.secrets["app"] = {"JWT_SECRET": OTHER, "REDIS_URL": "", "REDIS_URl": "x"}
    found = problems(load)
    assert set(found) == {"DATABASE_URL", "REDIS_URL"}
    assert all(said.endswith("; SECRETS_FROM has none") for said in found.values())


def test_a_value_that_is_wrong_is_told_as_any_other(load: Load, server: Vault) -> None:
    server.secrets["app"] = HELD | {"JWT_SECRET": "short", "REDIS_URL": f"http://{SECRET}"}
    assert problems(load) == {
        "JWT_SECRET": "must have at least 32 characters",
        "REDIS_URL": "must start with redis:// or rediss://",
    }


def test_a_name_that_is_unknown_is_a_warning(
    load: Load, server: Vault, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = f"127.0.0.1:{free_port()}/0"
    urls = {"DATABASE_URL": f"postgresql://{nowhere}", "REDIS_URL": f"redis://{nowhere}"}
    odd = {"JWT_KEY": "x", "PORT": "1", "VAULT_TOKEN": "x"}
    server.secrets["app"] = HELD | urls | odd
    found = load()
    assert found.port == 8000
    assert found.warnings == tuple(
        f"SECRETS_FROM has {name}, which is no secret of the service"
        for name in ("JWT_KEY", "PORT", "VAULT_TOKEN")
    )
    main(["doctor"])
    assert "Warning: SECRETS_FROM has JWT_KEY, which" in capsys.readouterr().out


def test_a_store_that_cannot_be_had_is_one_problem_and_not_one_for_each_secret(
    load: Load,
) -> None:
    found = problems(load, VAULT_ADDR=f"http://127.0.0.1:{free_port()}", PORT="x")
    assert set(found) == {"SECRETS_FROM", "PORT"}
    assert "vault://kv/app of http://127.0.0.1:" in found["SECRETS_FROM"]
    assert "Connection refused (tries: 3" in found["SECRETS_FROM"]


@pytest.mark.parametrize(
    ("variables", "name", "said"),
    [
        ({"SECRETS_FROM": "vault:/kv/app"}, "SECRETS_FROM", "must read like aws-secrets-manager"),
        ({"SECRETS_FROM": "vault://kv"}, "SECRETS_FROM", "must name a mount and a path"),
        ({"SECRETS_FROM": "aws-secrets-manager://"}, "SECRETS_FROM", "must read like"),
        ({"VAULT_ADDR": ""}, "VAULT_ADDR", "is needed for vault://"),
        ({"VAULT_TOKEN": "x"}, "SECRETS_FROM", "it denied to read kv/data/app"),
        ({"SECRETS_REFRESH": "never"}, "SECRETS_REFRESH", "a number and a unit"),
        ({"SECRETS_REFRESH": "10ms"}, "SECRETS_REFRESH", "must be 1s at least"),
    ],
)
def test_what_is_wrong_with_the_source_is_one_line(
    load: Load, variables: dict[str, str], name: str, said: str
) -> None:
    found = problems(load, **variables)
    assert list(found) == [name]
    assert said in found[name]


def test_it_is_asked_once_in_a_tree_of_processes(load: Load, server: Vault) -> None:
    load()
    if (child := os.fork()) == 0:
        os._exit(0 if Settings.load(NO_DOTENV).jwt_secret.get_secret_value() == OTHER else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(server.asked) == 1
    Settings.load(NO_DOTENV, fresh=True)
    assert len(server.asked) == 2


def test_the_doctor_says_where_a_value_came_from(
    load: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    load()
    main(["settings", "--json", "--dotenv", str(NO_DOTENV)])
    found = json.loads(capsys.readouterr().out)
    assert found["JWT_SECRET"]["from"] == "SECRETS_FROM vault://kv/app"
    assert found["DATABASE_URL"]["from"] == "SECRETS_FROM vault://kv/app"
    assert found["VAULT_TOKEN"] == {"value": "(set)", "from": "environment", "secret": True}


def test_the_documentation_says_of_each_secret_how_it_is_rotated() -> None:
    text = (ROOT / "docs" / "secrets.md").read_text()
    table = text[text.index("| secret |") :]
    first_cells = "".join(line.split("|")[1] for line in table.splitlines() if line[:1] == "|")
    secrets = {variable(name, f) for name, f in Settings.model_fields.items() if is_secret(f)}
    assert set(re.findall(r"`([A-Z_]+)`", first_cells)) == secrets


# healthcheck, which a container runs every few seconds.


def test_to_look_at_a_process_asks_no_store(
    load: Load,
    server: Vault,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(pulse, "folder", lambda: tmp_path)
    monkeypatch.setenv("PORT", str(port := free_port()))
    monkeypatch.setenv("SECRETS_FROM", "vault://kv/app")
    monkeypatch.setenv("VAULT_ADDR", server.url)
    assert healthcheck.run(None, "web") == 1
    assert f"web does not answer on port {port}" in capsys.readouterr().err
    for process in ("worker", "scheduler"):
        with pulse.beating(process):
            assert healthcheck.run(None, process) == 0
    assert server.asked == []


def test_a_port_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "http")
    with pytest.raises(SettingsError, match="'http' is refused"):
        healthcheck.run(None, "web")
