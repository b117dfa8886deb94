"""`python -m service doctor`: what is in force, where it came from, and what is wrong."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from service import doctor, migrations
from service.__main__ import main
from service.devservers import Postgres
from service.settings import Settings
from tests.conftest import make_settings
from tests.foreign import of_newer_code, of_other_code
from tests.ports import free_port

SECRET = "hunter2-hunter2-hunter2-hunter2-hunter2"
PEER = "10.0.0.1"


def look(settings: Settings, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """The exit code, and what it prints for people and for machines."""
    code = doctor.run(settings, "203.0.113.7", PEER, as_json=False)
    text = capsys.readouterr().out
    assert doctor.run(settings, "203.0.113.7", PEER, as_json=True) == code
    return code, text, capsys.readouterr().out


def with_url(settings: Settings, **urls: str) -> Settings:
    changes = {name: SecretStr(url) for name, url in urls.items()}
    return settings.model_copy(update=changes)


def test_all_is_well(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, printed = look(settings, capsys)
    report = json.loads(printed)
    assert (code, report["ok"], "FAILED" in text) == (0, True, False)
    assert report["database"]["version"].startswith("18")
    assert report["redis"]["version"].startswith("valkey ")
    assert report["schema"]["state"] == "current"
    assert report["schema"]["database"] == report["schema"]["code"] == migrations.known()[1]
    assert report["database"]["allows"] > report["database"]["we_may_open"] > 0
    assert "warning" not in report["database"]


def test_secrets_are_redacted_in_both_forms(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = {
        "jwt_secret": SECRET,
        "metrics_token": SECRET,
        "sentry_dsn": f"https://{SECRET}@sentry.example.com/1",
        "database_replica_url": f"postgresql+psycopg://u:{SECRET}@replica/d?password={SECRET}",
        "aws_secret_access_key": SECRET,
    }
    _, text, printed = look(with_url(settings, **secret), capsys)
    passwords = [
        url.get_secret_value().split("@")[0].rpartition(":")[2]
        for url in (settings.database_url, settings.redis_url)
    ]
    for each in (SECRET, *passwords):
        assert each not in text + printed
    shown = json.loads(printed)["settings"]
    assert shown["JWT_SECRET"]["value"] == shown["METRICS_TOKEN"]["value"] == "(set)"
    assert shown["DATABASE_REPLICA_URL"]["value"] == "postgresql+psycopg://u:***@replica/d"
    assert shown["DATABASE_URL"]["value"].startswith("postgresql+psycopg://postgres:***@127.0.0.1")


def test_it_tells_where_each_value_came_from(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "jwt").write_text(SECRET)
    for name in ("JWT_SECRET", "COMMIT_SHA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JWT_SECRET_FILE", str(tmp_path / "jwt"))
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("REDIS_URL", settings.redis_url.get_secret_value())
    monkeypatch.setenv("RENDER_GIT_COMMIT", "abc123")
    monkeypatch.setenv("RATE_LIMIT_LOGIN", "9 per minute")
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["settings"]
    assert found["DATABASE_URL"]["from"] == "environment"
    assert found["JWT_SECRET"] == {"value": "(set)", "from": f"file {tmp_path / 'jwt'}"}
    assert found["COMMIT_SHA"] == {"value": "abc123", "from": "environment (RENDER_GIT_COMMIT)"}
    assert found["RATE_LIMIT_LOGIN"] == {"value": "9 per 60 seconds", "from": "environment"}
    assert found["MAX_CONTENT_LENGTH"] == {"value": "1048576", "from": "default"}


def test_it_tells_the_number_of_processes_and_why(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = settings.model_copy(update={"web_concurrency": 3, "web_threads": 2})
    _, text, printed = look(changed, capsys)
    expected = {"processes": 3, "because": "WEB_CONCURRENCY", "threads": 2}
    assert json.loads(printed)["web"] == expected
    assert "3 processes of 2 threads, because: WEB_CONCURRENCY" in text


@pytest.mark.parametrize(
    ("hops", "header", "address"),
    [
        (0, "198.51.100.1", PEER),
        (0, "6.6.6.6, 198.51.100.1", PEER),
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        (2, "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        (2, "6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        (2, "6.6.6.6", PEER),
        (1, "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
    ],
)
def test_a_forged_header_changes_nothing_with_the_right_number_of_hops(
    settings: Settings, hops: int, header: str, address: str
) -> None:
    changed = settings.model_copy(update={"proxy_hops": hops})
    client = doctor.examine(changed, header, PEER)["client"]
    assert client == {"address": address, "x_forwarded_for": header, "peer": PEER, "hops": hops}


def test_with_too_many_hops_a_forged_header_is_believed(settings: Settings) -> None:
    """The control of the test above."""
    changed = settings.model_copy(update={"proxy_hops": 2})
    assert doctor.examine(changed, "6.6.6.6, 198.51.100.1", PEER)["client"]["address"] == "6.6.6.6"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{port}/", "{free}/", " refused"),
        (":{password}@", ":wrong-password@", "password authentication failed"),
        ("/suite", "/nothing", 'database "nothing" does not exist'),
    ],
)
def test_a_database_that_cannot_be_used_is_told_in_a_line(
    settings: Settings,
    postgres: Postgres,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    said: str,
) -> None:
    known = {"port": postgres.port, "password": postgres.password, "free": free_port()}
    url = settings.database_url.get_secret_value()
    changed = url.replace(old.format(**known), new.format(**known))
    assert changed != url
    code, text, printed = look(with_url(settings, database_url=changed), capsys)
    assert (code, json.loads(printed)["database"]["ok"]) == (1, False)
    (line,) = [line for line in text.split("Database\n")[1].splitlines() if said in line][:1]
    assert line.startswith("  FAILED: problem ")
    assert postgres.password not in text + printed
    assert "wrong-password" not in text + printed


def test_a_redis_that_is_down_is_told(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = with_url(settings, redis_url=f"redis://:{SECRET}@127.0.0.1:{free_port()}/0")
    code, text, printed = look(changed, capsys)
    report = json.loads(printed)
    assert (code, report["redis"]["ok"], report["database"]["ok"]) == (1, False, True)
    assert "FAILED: problem Error" in text.split("Redis\n")[1]
    assert SECRET not in text + printed


def test_a_schema_that_is_behind_is_told(
    settings: Settings, postgres: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = postgres.create_database(f"behind_{uuid4().hex}")
    changed = make_settings(empty, settings.redis_url.get_secret_value())
    code, text, printed = look(changed, capsys)
    assert (code, json.loads(printed)["schema"]["state"]) == (1, "behind")
    assert "FAILED" in text.split("Schema\n")[1]


def test_a_schema_of_another_code_is_told(
    settings: Settings, postgres: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = make_settings(of_other_code(postgres), settings.redis_url.get_secret_value())
    code, text, printed = look(changed, capsys)
    assert (code, json.loads(printed)["schema"]["state"]) == (1, "diverged")
    assert "Put 9999 back into migrations/versions" in text.split("Schema\n")[1]


def test_a_schema_that_is_ahead_is_well(
    settings: Settings, postgres: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = make_settings(of_newer_code(postgres), settings.redis_url.get_secret_value())
    code, _, printed = look(changed, capsys)
    assert (code, json.loads(printed)["schema"]["state"]) == (0, "ahead")
