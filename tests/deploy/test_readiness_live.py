"""The production checklist as a command: of a service that serves, and of servers over SSH."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import readiness, smoke
from deploy.__main__ import main
from deploy.readiness import live, variables
from deploy.readiness.answers import Verdict
from deploy.readiness.subject import Subject
from deploy.vps.host import status
from service import demo
from service.app import create_app
from service.devservers import Postgres, Redis
from service.environment import ROOT
from tests.conftest import make_settings
from tests.deploy.standin import HEALTHY, THREE, Servers
from tests.deploy.vps_host import make_served
from tests.serving import Served, own_database

HEAD = subprocess.run(
    ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True
).stdout.strip()
TOKEN = "a-token-of-the-tests-long-enough-for-production"


@pytest.fixture(scope="module")
def production(postgres: Postgres, redis_server: Redis) -> Iterator[Served]:
    """As it is to be, but for TLS and a worker."""
    given = {"APP_ENV": "production", "COMMIT_SHA": HEAD, "METRICS_TOKEN": TOKEN}
    given |= {"SMOKE_TOKEN": TOKEN}
    url = f"{redis_server.url[:-1]}5"
    with Served(own_database(postgres), url, **given, WEB_CONCURRENCY="1") as served:
        yield served


@pytest.fixture(scope="module")
def careless(postgres: Postgres, redis_server: Redis) -> Iterator[Served]:
    """In production, with the demo data, no version and no token."""
    url, redis_url = own_database(postgres), f"{redis_server.url[:-1]}6"
    settings = make_settings(url, redis_url)
    app = create_app(settings, "seed")
    demo.seed(app, settings)
    app.extensions["database"].engine.dispose()
    with Served(url, redis_url, APP_ENV="production", WEB_CONCURRENCY="1") as served:
        yield served


def verdict(item: readiness.Item, served: Served) -> tuple[Verdict, str]:
    asked = smoke.Service("http", "127.0.0.1", served.port, timeout=10, web_only=True)
    answer = item(Subject(ROOT, "docker", service=asked))
    return answer.verdict, answer.evidence


def test_a_service_that_is_well_passes_what_it_is_asked(production: Served) -> None:
    assert verdict(live.version, production) == ("pass", f"{HEAD[:12]}, as here")
    assert verdict(live.demo_accounts, production) == ("pass", "alice@example.com is refused")
    assert verdict(variables.metrics_token, production)[0] == "pass"


def test_a_service_that_is_not_does_not(careless: Served) -> None:
    assert verdict(live.version, careless) == ("fail", "it does not know its version")
    assert verdict(live.demo_accounts, careless) == ("fail", "alice@example.com can sign in")
    assert verdict(variables.metrics_token, careless) == ("fail", "/metrics answers 404")


def test_the_command_asks_the_service_and_says_what_fails(
    production: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMOKE_TOKEN", TOKEN)
    words = ["readiness", "--target", "docker", "--url", production.url, "--timeout", "4"]
    assert main(words) == 1
    out = capsys.readouterr().out
    assert "  FAIL     https                it is asked by http\n" in out
    assert f"  pass     version              {HEAD[:12]}, as here\n" in out
    assert "  pass     secrets              it serves in production" in out


def test_as_json_it_is_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["readiness", "--target", "docker", "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert code == int(any(row["verdict"] == "fail" for row in rows))
    assert len(rows) == sum(map(len, readiness.ITEMS.values()))
    assert {"pass", "by hand"} <= {row["verdict"] for row in rows}
    assert all(row["todo"] for row in rows if row["verdict"] != "pass")


def test_a_service_that_does_not_answer_fails(capsys: pytest.CaptureFixture[str]) -> None:
    asked = smoke.Service("http", "127.0.0.1", 9, timeout=0.1)
    answer = live.answers(Subject(ROOT, "docker", service=asked))
    assert (answer.verdict, "is not answered" in answer.evidence) == ("fail", True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--target", "docker", "--stage", "staging"], 1, "docker has no staging"),
        (["--target", "nowhere"], 2, "invalid choice: 'nowhere'"),
        ([], 2, "--target"),
        (["--target", "docker", "--url", "api.example.com"], 2, "is no http:// or https:// URL"),
        (["--target", "docker", "--schemas", "/nowhere"], 1, "the folder of schemas /nowhere"),
    ],
)
def test_bad_words_get_one_line(
    words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        ended = main(["readiness", *words])
    except SystemExit as end:
        ended = int(str(end.code))
    assert ended == code
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_servers_are_asked_over_ssh(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = {"tried": {"rollback": "2026-11-02T10:00:00Z"}}
    servers.answer("*", "status", out={**HEALTHY, **tried})
    servers.answer("*", "env", "list", out={"JWT_SECRET": "(set)", "SENTRY_DSN": "(set)"})
    (tmp_path / "servers.toml").write_text(THREE)
    file = str(tmp_path / "servers.toml")
    assert main(["readiness", "--target", "vps", "--servers", file]) == 1
    out = capsys.readouterr().out
    assert "  pass     instances            " in out and ": 2\n" in out
    assert "  pass     rollback             tried at 2026-11-02T10:00:00Z\n" in out
    assert "  FAIL     restore              no restore was tried\n" in out
    assert "  pass     error reports        SENTRY_DSN is set\n" in out
    assert "  FAIL     secrets              not set: DATABASE_URL, REDIS_URL, SMOKE_TOKEN\n" in out
    assert len([line for line in servers.asked(()) if line.endswith(": status")]) == 3


def test_a_server_that_is_lost_fails_what_it_would_say(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers.answer("web1", "status", code=255, err="Connection timed out\n")
    servers.answer("*", "env", "list", out={})
    (tmp_path / "servers.toml").write_text(THREE)
    file = str(tmp_path / "servers.toml")
    assert main(["readiness", "--target", "vps", "--servers", file]) == 1
    out = capsys.readouterr().out
    assert "  FAIL     backups              web1: web1 does not answer: is it on" in out
    assert "  FAIL     rollback             not looked at, as backups\n" in out


def test_a_server_says_what_was_tried_and_went_well(tmp_path: Path) -> None:
    host, *_ = make_served(tmp_path)
    entry = {"who": "a", "release": None, "seconds": 1}
    host.layout.log.write_text(
        "".join(
            json.dumps({"at": at, "what": what, "result": result, **entry}) + "\n"
            for at, what, result in (
                ("2026-11-01T10:00:00Z", "restore-test 20261101T031000Z-nightly", "ok"),
                ("2026-11-02T10:00:00Z", "restore-test 20261102T031000Z-nightly", "the disk"),
                ("2026-11-03T10:00:00Z", "rollback", "ok"),
                ("2026-11-04T10:00:00Z", "release", "ok"),
            )
        )
    )
    assert status.status(host)["tried"] == {
        "restore-test": "2026-11-01T10:00:00Z",
        "rollback": "2026-11-03T10:00:00Z",
    }
