"""What is set by hand: the commands are run, against programs that write down what they get."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from deploy import env
from deploy.__main__ import main
from deploy.targets import TARGETS
from service.environment import ROOT, environment
from service.settings import Settings
from service.sources import SettingsError

CLIS = ("aws", "docker", "doctl", "fly", "gcloud", "heroku", "kubectl", "railway")
# Writes its words, a line each, and what comes on its standard input.
RECORDS = """#!/bin/sh
for word in "${0##*/}" "$@"; do echo "word $word"; done >>"$RECORD"
for word in "$@"; do
    case $word in --*-file=/*) sed 's/^/given /' "${word#*=}" >>"$RECORD" ;; esac
done
[ -t 0 ] || sed 's/^/given /' >>"$RECORD"
"""
# Those whose manifests refer to what is set by a name of ours.
NAMED = (
    "cloudrun",  # target: cloudrun
    "ecs",  # target: ecs
    "elasticbeanstalk",  # target: elasticbeanstalk
    "kubernetes",  # target: kubernetes
)
SECRET = re.compile(r"[0-9a-f]{64}")


@pytest.fixture
def record(tmp_path: Path) -> Path:
    for name in CLIS:
        (tmp_path / name).write_text(RECORDS)
        (tmp_path / name).chmod(0o755)
    return tmp_path / "record"


def run(lines: list[str], record: Path) -> str:
    """What the programs were given. Fails where one of the commands does."""
    path = f"{record.parent}:{environment()['PATH']}"
    subprocess.run(
        ["sh", "-euc", "\n".join(lines)],
        cwd=ROOT,
        env={"PATH": path, "RECORD": str(record)},
        stdin=subprocess.DEVNULL,
        check=True,
        capture_output=True,
    )
    return record.read_text()


def commands(out: str) -> list[str]:
    return [line for line in out.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("written_out", [False, True])
@pytest.mark.parametrize("stage", ["production", "staging"])
@pytest.mark.parametrize("target", sorted(set(env.SPELT) - {"dotenv", "render"}))
def test_each_value_reaches_the_platform_s_own_tool(
    target: str,
    stage: str,
    written_out: bool,
    record: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = record.parent / "values"
    how = ["--print"] if written_out else ["--file", str(file)]
    assert main(["env", target, "--stage", stage, *how]) == 0
    out = capsys.readouterr().out
    told = run(commands(out), record)
    wanted = env.needed(ROOT, target, stage)
    assert {"JWT_SECRET", "SMOKE_TOKEN"} <= wanted.keys()
    if written_out:
        values = SECRET.findall(out)
    else:
        assert file.stat().st_mode & 0o777 == 0o600
        assert SECRET.search(out) is None
        given = dict(line.split("=", 1) for line in file.read_text().splitlines())
        assert given.keys() == wanted.keys()
        values = [each for each in given.values() if SECRET.fullmatch(each)]
        assert all(each in told for each in given.values())
    assert len(set(values)) >= 2
    assert all(told.count(each) == 1 for each in set(values))


def is_text(path: Path) -> bool:
    return path.is_file() and path.parent.name != "__pycache__"


@pytest.mark.parametrize("target", NAMED)
def test_the_names_are_those_that_the_manifest_refers_to(
    target: str, record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for stage in ("production", "staging"):
        assert main(["env", target, "--stage", stage, "--print"]) == 0
        told = run(commands(capsys.readouterr().out), record)
        named = re.findall(r"word (/?slipway\S*)", told)
        folder = ROOT / "deploy" / target
        text = "".join(path.read_text() for path in folder.rglob("*") if is_text(path))
        assert named
        assert all(name in text for name in named), named


# target: railway
def test_json_is_json(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "railway", "--print"]) == 0
    told = run(commands(capsys.readouterr().out), record)
    (given,) = re.findall(r"given (\{.*)", told)
    assert json.loads(given)["sharedVariables"].keys() == {"JWT_SECRET", "SMOKE_TOKEN"}


# end of target: railway
# target: heroku
@pytest.mark.parametrize("written_out", [False, True])
def test_a_value_with_spaces_and_quotes_reaches_heroku_whole(
    written_out: bool, record: Path
) -> None:
    given = {"JWT_SECRET": "a b  c", "MAIL_FROM": """It's "us" <us@example.com> \\ $HOME"""}
    file = None if written_out else record.parent / "the values"
    if file is not None:
        env.write(file, given)
    told = run(env.SPELT["heroku"](env.Values("production", given, file)), record)
    for name, value in given.items():
        assert f"word {name}={value}\n" in told


def test_what_heroku_prints_of_the_values_is_not_seen() -> None:
    for file in (None, Path("values")):
        (line,) = env.SPELT["heroku"](env.Values("staging", {"JWT_SECRET": "x"}, file))
        assert line.endswith(" >/dev/null")


# end of target: heroku
def test_a_file_for_this_machine_is_one_that_the_service_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["env", "dotenv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "# Yours to put in first: DATABASE_URL, REDIS_URL."
    subprocess.run(["sh", "-euc", lines[2]], check=True)
    assert not (tmp_path / ".env.dotenv.production").exists()
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    with pytest.raises(SettingsError, match=r"DATABASE_URL  .*placeholder"):
        Settings.load(tmp_path / ".env")


def test_a_file_that_is_there_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And its commands are printed once more."""
    file = tmp_path / "values"
    assert main(["env", "docker", "--file", str(file)]) == 0
    before, told = file.read_text(), commands(capsys.readouterr().out)
    assert main(["env", "docker", "--file", str(file)]) == 0
    out = capsys.readouterr().out
    assert "is there already: its values are kept" in out
    assert (file.read_text(), commands(out)) == (before, told)
    file.write_text("JWT_SECRET=in-use")
    assert main(["env", "docker", "--file", str(file)]) == 1
    assert "without APP_ENV, DATABASE_URL, REDIS_URL, SMOKE_TOKEN" in capsys.readouterr().err
    assert file.read_text() == "JWT_SECRET=in-use"
    assert main(["env", "docker", "--file", "/no/such/folder/values"]) == 1
    assert "cannot be written: No such file or directory" in capsys.readouterr().err


# target: render
def test_where_nothing_is_set_by_hand_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "render"]) == 0
    assert "render: nothing is set by hand" in capsys.readouterr().out


@pytest.mark.parametrize("stage", ["production", "staging"])
def test_what_render_asks_for_is_printed_for_its_dashboard(
    tmp_path: Path, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "render.yaml").read_text()
    by_hand = text.replace("JWT_SECRET, generateValue: true", "JWT_SECRET, sync: false")
    (tmp_path / "render.yaml").write_text(by_hand)
    file = tmp_path / "values"
    assert env.run(tmp_path, "render", stage, file) == 0
    (line,) = commands(capsys.readouterr().out)
    assert line.endswith(f"# JWT_SECRET: the dashboard, {stage}, Environment")
    printed = subprocess.run(["sh", "-euc", line], check=True, capture_output=True, text=True)
    assert file.read_text() == f"JWT_SECRET={printed.stdout}\n"


# end of target: render
def test_every_target_is_spelt() -> None:
    assert set(TARGETS) <= set(env.SPELT)
