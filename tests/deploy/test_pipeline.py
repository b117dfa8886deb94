"""`python -m deploy promote|rollback|log`: usage, what is missing, the log, what is printed."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.__main__ import main
from deploy.cli import parser
from deploy.pipeline import audit
from deploy.pipeline.needs import table
from deploy.pipeline.plan import Command, filled, typed
from deploy.pipeline.plans import PLANS
from deploy.shell import Failed
from deploy.targets import TARGETS
from service.settings import ROOT
from tests.deploy.answers import TABLES, VARIABLES
from tests.deploy.clouds import Cloud, served


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a machine that knows no platform, and in no CI."""
    for name in (*VARIABLES, "DEPLOY_URL", "SMOKE_TOKEN", *audit.ACTORS):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def fly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    cloud = Cloud(tmp_path / "cloud", ("fly",), TABLES["fly"])
    monkeypatch.setenv("PATH", f"{cloud.bin}:/usr/bin:/bin")
    return cloud


def test_each_target_can_be_promoted_to() -> None:
    assert set(PLANS) == {*TARGETS, "docker", "vps"}


@pytest.mark.parametrize("target", PLANS)
def test_all_that_is_missing_is_named_at_once_and_nothing_is_called(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "git").symlink_to("/usr/bin/git")
    monkeypatch.setenv("PATH", str(programs))
    wanted, log = PLANS[target].NEEDS, tmp_path / "log"
    image = ["--image", "registry.example.com/slipway:1"] if wanted.image == "must" else []
    assert main(["promote", target, "--log", str(log), *image]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    for name in (*wanted.programs, *wanted.variables, *wanted.secrets, wanted.sign_in):
        assert name in line or name == "git"
    assert line.startswith(f"failed: {target} needs ") and line.endswith("; nothing has changed")
    assert not log.exists()


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


def test_a_dry_run_prints_what_would_be_called_and_calls_nothing(
    fly: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    for target in PLANS:
        image = ["--image", "r.test/slipway:1"] if PLANS[target].NEEDS.image == "must" else []
        assert main(["promote", target, "--dry-run", *image]) == 0
        assert "\n# Back, if that or its smoke test fails:\n" in capsys.readouterr().out
        assert main(["rollback", target, "--dry-run", "--stage", "staging", "--json"]) == 0
        (block,) = json.loads(capsys.readouterr().out)
        assert all(isinstance(word, str) for command in block for word in command)
    assert fly.calls() == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["promote"], 2, "the following arguments are required: TARGET"),
        (["promote", "fly.io"], 2, "invalid choice: 'fly.io'"),
        (["promote", "fly", "--stage", "test"], 2, "invalid choice: 'test'"),
        (["promote", "docker"], 2, "docker takes an image: --image"),
        (["promote", "heroku", "--image", "x"], 2, "--image: heroku builds commits itself"),
        (["promote", "fly", "--image", "-x"], 2, "expected one argument"),
        (["promote", "fly", "--image", "x|y"], 2, "'x|y' is no name of an image"),
        (["promote", "fly", "--url", "example.com"], 2, "'example.com' is no http:// or https://"),
        (["promote", "fly", "--wait", "0"], 2, "seconds from 1 to 3600 are needed"),
        (["promote", "fly", "--commit", "nonsense"], 1, "nonsense is no commit here: fetch it"),
        (["promote", "fly", "--commit", "--help"], 2, "expected one argument"),
        (
            ["promote", "elasticbeanstalk", "--commit", "HEAD~1"],
            1,
            "elasticbeanstalk takes what is checked out: git checkout",
        ),
    ],
)
def test_bad_usage_is_one_line(
    words: list[str], code: int, said: str, fly: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        ended = main(words)
    except SystemExit as left:
        ended = int(str(left.code))
    assert ended == code
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert fly.calls() == []


def test_a_target_that_knows_only_the_version_before_takes_no_other(
    capsys: pytest.CaptureFixture[str], fly: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fly.bin / "ssh").symlink_to("/bin/true")
    assert main(["rollback", "vps", "--to", "1a2b3c4", "--log", "/dev/null"]) == 1
    assert "--to: it goes back to the version before alone" in capsys.readouterr().err


def test_the_page_lists_what_each_target_needs() -> None:
    page = (ROOT / "docs" / "pipeline.md").read_text()
    assert f"<!-- needs -->\n{table()}\n<!-- /needs -->" in page


def test_the_commands_of_the_pages_are_commands(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "README.md").read_text() + (ROOT / "docs" / "pipeline.md").read_text()
    named = re.findall(r"python -m deploy ((?:promote|rollback|log)\b[^`\n#]*)", text)
    assert len(named) >= 8
    for words in named:
        parser().parse_args(shlex.split(words.replace("TARGET", "fly")))


def needs(*words: str, given: str) -> subprocess.CompletedProcess[str]:
    """As CI calls it: with nothing installed."""
    command = [sys.executable, "-S", "-m", "deploy.pipeline.needs", *words]
    return subprocess.run(command, input=given, cwd=ROOT, capture_output=True, text=True)


def test_ci_is_told_all_that_is_missing_before_anything_is_installed() -> None:
    ended = needs("docker", "--stage", "staging", given="PATH=/bin\0SSH_KEY=\0A=\nDEPLOY_URL=x\0")
    assert ended.returncode == 1
    assert ended.stderr == (
        "failed: docker needs DEPLOY_URL, DOCKER_HOST, KNOWN_HOSTS, SSH_KEY: set in the environment"
        " staging of the repository, or the repository itself (docs/pipeline.md)\n"
    )
    given = "DEPLOY_URL=x\0DOCKER_HOST=x\0KNOWN_HOSTS=x\0SSH_KEY=a\nb\0"
    assert needs("docker", given=given).returncode == 0
    assert needs("nonsense", given="").returncode == 2


def test_what_is_printed_can_be_typed() -> None:
    command = Command(
        ("printf", "[%s]", "a b", "it's", "$NAME`x`", '{"id": "$NAME", "b": "$small"}'),
        given='say "$NAME"',
    )
    line = command.printed()
    out = subprocess.check_output(["sh", "-euc", line], env={"NAME": "n", "small": "s"}, text=True)
    assert out == """[a b][it's][n`x`][{"id": "n", "b": "s"}]"""
    with pytest.raises(Failed, match="NAME was not found"):
        filled("$NAME $small", {})
    assert filled("$NAME $small", {"NAME": "n"}) == "n $small"
    assert typed([Command(("cat", "$FOLDER/x"))]) == 'FOLDER=$(mktemp -d)\ncat "$FOLDER/x"'
