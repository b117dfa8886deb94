"""`python -m deploy promote|rollback`: usage, what is missing, what is printed, the pages."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.__main__ import main
from deploy.cli import parser
from deploy.env import SPELT
from deploy.pipeline import audit
from deploy.pipeline.needs import table
from deploy.pipeline.plan import Command, filled, typed
from deploy.pipeline.plans import PLANS
from deploy.shell import Failed
from deploy.targets import TARGETS
from service.environment import ROOT
from tests.deploy.answers import VARIABLES

DOCKER = ["promote", "docker", "--image", "slipway:1"]


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a machine that knows no platform, and in no CI."""
    for name in (*VARIABLES, "DEPLOY_URL", "SMOKE_TOKEN", *audit.ACTORS):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all programs that there are, which has git."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "git").symlink_to("/usr/bin/git")
    monkeypatch.setenv("PATH", str(programs))
    return programs


def test_each_target_can_be_promoted_to() -> None:
    assert set(PLANS) == {*TARGETS, "docker", "vps"}


@pytest.mark.parametrize("target", PLANS)
def test_all_that_is_missing_is_named_at_once_and_nothing_is_called(
    target: str, tmp_path: Path, bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted, log = PLANS[target].NEEDS, tmp_path / "log"
    image = ["--image", "registry.example.com/slipway:1"] if wanted.image == "must" else []
    assert main(["promote", target, "--log", str(log), *image]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    for name in (*wanted.programs, *wanted.variables, *wanted.secrets, wanted.sign_in):
        assert name in line or name == "git"
    assert line.startswith(f"failed: {target} needs ") and line.endswith("; nothing has changed")
    assert not log.exists()


def test_a_dry_run_prints_what_would_be_called_and_calls_nothing(
    bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for target in PLANS:
        image = ["--image", "r.test/slipway:1"] if PLANS[target].NEEDS.image == "must" else []
        assert main(["promote", target, "--dry-run", *image]) == 0
        assert "\n# Back, if that or its smoke test fails:\n" in capsys.readouterr().out
        assert main(["rollback", target, "--dry-run", "--stage", "staging", "--json"]) == 0
        (block,) = json.loads(capsys.readouterr().out)
        assert all(isinstance(word, str) for command in block for word in command)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["promote"], 2, "the following arguments are required: TARGET"),
        (["promote", "docker.io"], 2, "invalid choice: 'docker.io'"),
        ([*DOCKER, "--stage", "test"], 2, "invalid choice: 'test'"),
        (["promote", "docker"], 2, "docker takes an image: --image"),
        ([*DOCKER, "--image", "-x"], 2, "expected one argument"),
        ([*DOCKER, "--image", "x|y"], 2, "'x|y' is no name of an image"),
        ([*DOCKER, "--url", "example.com"], 2, "'example.com' is no http:// or https://"),
        ([*DOCKER, "--wait", "0"], 2, "seconds from 1 to 3600 are needed"),
        ([*DOCKER, "--commit", "nonsense"], 1, "nonsense is no commit here: fetch it"),
        ([*DOCKER, "--commit", "--help"], 2, "expected one argument"),
        # target: heroku
        (["promote", "heroku", "--image", "x"], 2, "--image: heroku builds commits itself"),
        # end of target: heroku
        # target: elasticbeanstalk
        (
            ["promote", "elasticbeanstalk", "--commit", "HEAD~1"],
            1,
            "elasticbeanstalk: it packs the commit that is checked out; git checkout",
        ),
        # end of target: elasticbeanstalk
        # target: fly
        (
            ["promote", "fly", "--commit", "HEAD~1"],
            1,
            "fly: it builds what is checked out; git checkout",
        ),
        # end of target: fly
        # target: digitalocean
        (
            ["promote", "digitalocean", "--commit", "HEAD~1"],
            1,
            "digitalocean: it builds the last commit of its branch; git checkout",
        ),
        # end of target: digitalocean
    ],
)
def test_bad_usage_is_one_line(
    words: list[str], code: int, said: str, bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        ended = main(words)
    except SystemExit as left:
        ended = int(str(left.code))
    assert ended == code
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_a_target_that_knows_only_the_version_before_takes_no_other(
    capsys: pytest.CaptureFixture[str], bare: Path
) -> None:
    (bare / "ssh").symlink_to("/bin/true")
    assert main(["rollback", "vps", "--to", "1a2b3c4", "--log", "/dev/null"]) == 1
    assert "--to: it goes back to the version before alone" in capsys.readouterr().err


def test_the_page_lists_what_each_target_needs() -> None:
    page = (ROOT / "docs" / "pipeline.md").read_text()
    assert f"<!-- needs -->\n{table()}\n<!-- /needs -->" in page


def test_the_commands_of_the_pages_are_commands(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "README.md").read_text() + (ROOT / "docs" / "pipeline.md").read_text()
    named = re.findall(r"python -m deploy ([a-z][^`\n#]*)", text)
    assert {"check", "env", "smoke", "readiness", "docker"} <= {each.split()[0] for each in named}
    for words in named:
        told = words.replace("TARGET", "vps").replace("--target NAME", "--target docker")
        told = told.replace('"$(git rev-parse HEAD)"', "1a2b3c4")
        if words.startswith("env "):  # what is kept of the platforms
            told = f"env {next(iter(SPELT))}"
        parser().parse_args(shlex.split(told))


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


@pytest.mark.parametrize(
    ("target", "said"), [("fly.io", "'fly.io' is no target"), ("", "DEPLOY_TARGET is not set")]
)
def test_ci_is_told_of_a_target_that_is_none(target: str, said: str) -> None:
    ended = needs(target, "--known", given="")
    assert ended.returncode == 2
    assert ended.stderr == f"failed: {said}: it is one of {', '.join(PLANS)}\n"


def test_ci_is_told_of_a_file_that_is_not_committed() -> None:
    given = "DEPLOY_URL=x\0KNOWN_HOSTS=x\0SSH_KEY=x\0"
    assert not (ROOT / "deploy" / "servers.staging.toml").exists()
    ended = needs("vps", "--stage", "staging", given=given)
    assert ended.returncode == 1
    assert ended.stderr == "failed: vps needs deploy/servers.staging.toml, to be committed\n"


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
