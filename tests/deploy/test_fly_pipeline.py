"""Promote and roll back as fly shows it: signing in, the log, what is stopped."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.__main__ import main
from deploy.pipeline import audit
from service.environment import ROOT
from tests.deploy.answers import TABLES, VARIABLES
from tests.deploy.clouds import Cloud, served


@pytest.fixture
def fly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """At a machine that has fly and no token, and in no CI."""
    for name in (*VARIABLES, "DEPLOY_URL", "SMOKE_TOKEN", *audit.ACTORS):
        monkeypatch.delenv(name, raising=False)
    cloud = Cloud(tmp_path / "cloud", ("fly",), TABLES["fly"])
    monkeypatch.setenv("PATH", f"{cloud.bin}:/usr/bin:/bin")
    return cloud


def test_who_has_signed_in_needs_no_token(fly: Cloud, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert main(["rollback", "fly", "--log", str(log)]) == 0
    assert fly.calls()[0] == "fly auth whoami"
    fly.fail("auth whoami")
    fly.forget()
    assert main(["rollback", "fly", "--log", str(log)]) == 1
    assert fly.calls() == ["fly auth whoami"]


def test_who_has_a_token_need_not_sign_in(fly: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLY_API_TOKEN", "x")
    assert main(["rollback", "fly", "--log", "/dev/null"]) == 0
    assert "fly auth whoami" not in fly.calls()


def test_each_change_is_a_line_that_says_who_and_what_came_of_it(
    fly: Cloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = tmp_path / "new" / "log"
    monkeypatch.setenv("GITHUB_ACTOR", "alice")
    monkeypatch.setenv("FLY_API_TOKEN", "x")
    commit = git("rev-parse", "HEAD")
    with served(fly) as url:
        monkeypatch.setenv("DEPLOY_URL", url)
        assert main(["promote", "fly", "--log", str(log), "--json"]) == 0
        said = capsys.readouterr()
        fly.bad = {commit}
        assert main(["promote", "fly", "--log", str(log), "--wait", "0.2"]) == 1
        assert "Gone back to registry.fly.io/slipway:old." in capsys.readouterr().err
    (done,) = json.loads(said.out)
    assert "→ smoke test of" in said.err
    assert {**done, "at": 0, "seconds": 0} == {
        "at": 0,
        "who": "alice (GitHub Actions)",
        "target": "fly",
        "stage": "production",
        "verb": "promote",
        "version": commit,
        "seconds": 0,
        "result": "ok",
    }
    assert main(["log", "--log", str(log), "--markdown"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0] == "| at | verb | target | stage | version | who | seconds | result |"
    assert [row.split(" | ")[1] for row in rows[2:]] == ["promote", "promote", "rollback"]
    assert f"failed: {commit} fails its smoke test" in rows[3]


def test_a_log_that_cannot_be_written_stops_it(
    fly: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["promote", "fly", "--log", str(tmp_path / "file" / "log")]) == 1
    assert "cannot be written: " in capsys.readouterr().err
    assert main(["rollback", "fly", "--log", str(tmp_path)]) == 1
    assert "cannot be read: " in capsys.readouterr().err
    assert [each for each in fly.calls() if "deploy" in each] == []


def test_what_ci_stops_is_logged_and_says_how_to_go_back(fly: Cloud, tmp_path: Path) -> None:
    """A job that is cancelled: SIGTERM, here while the smoke test waits."""
    log = tmp_path / "log"
    with served(fly) as url:
        fly.bad = {git("rev-parse", "HEAD")}
        words = ("promote", "fly", "--log", str(log), "--url", url, "--wait", "60")
        with subprocess.Popen(
            [sys.executable, "-m", "deploy", *words],
            cwd=ROOT,
            env=os.environ | {"FLY_API_TOKEN": "x"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as running:
            assert running.stderr is not None
            assert running.stderr.readline().startswith("waiting: /health/ready answers 503")
            running.terminate()
            _, said = running.communicate(timeout=30)
    back = "deploy rollback fly --stage production --to registry.fly.io/slipway:old"
    assert said == f"stopped, perhaps half-way. Back: python -m {back}\n"
    assert running.returncode == 130
    results = [json.loads(line)["result"] for line in log.read_text().splitlines()]
    assert results == ["begun", "stopped"]


def git(*words: str) -> str:
    return subprocess.check_output(["git", *words], cwd=ROOT, text=True).strip()
