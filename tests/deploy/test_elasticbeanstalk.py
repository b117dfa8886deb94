"""The source bundle for Elastic Beanstalk, and what of its files is refused at once."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from deploy.__main__ import main
from deploy.elasticbeanstalk import bundle
from deploy.elasticbeanstalk.manifest import STAGES, read_manifest
from deploy.shell import Failed
from service.environment import ROOT

EB = "deploy/elasticbeanstalk"
REQUIRED = {
    "DATABASE_URL": "postgresql://database/service",
    "REDIS_URL": "redis://redis:6379/0",
    "JWT_SECRET": "x" * 64,
}


def git(root: Path, *arguments: str) -> str:
    who = ["-c", "user.name=alice", "-c", "user.email=alice@example.com"]
    ended = subprocess.run(
        ["git", "-C", str(root), *who, *arguments], capture_output=True, text=True, check=True
    )
    return ended.stdout.strip()


def commit(root: Path) -> str:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "All of it")
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def untouched(tmp_path: Path) -> Path:
    """A repository of what a bundle is made of, as it lies here."""
    root = tmp_path / "repository"
    for name in (*bundle.SHIPPED, EB):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, root / name)
    git(root.parent, "init", "--quiet", "--initial-branch", "main", str(root))
    commit(root)
    return root


@pytest.fixture
def root(untouched: Path) -> Path:
    """The same with the words in capitals put in."""
    for stage in STAGES:
        path = untouched / EB / "stages" / f"{stage}.config"
        text = path.read_text().replace("REGION", "eu-central-1").replace("ACCOUNT", "111122223333")
        path.write_text(text)
    commit(untouched)
    return untouched


def bundled(root: Path, stage: str = "production") -> zipfile.ZipFile:
    bundle.make(root, stage, root.parent / f"{stage}.zip")
    return zipfile.ZipFile(root.parent / f"{stage}.zip")


def test_a_bundle_is_what_the_platform_reads_at_its_root(root: Path) -> None:
    names = bundled(root).namelist()
    shown = {name.split("/")[0] for name in names}
    assert shown == {*bundle.SHIPPED, "Procfile", ".env", ".ebextensions", ".platform"}
    assert names == sorted(names)
    for folder in ("service", "migrations"):
        files = {str(p.relative_to(ROOT)) for p in (ROOT / folder).rglob("*") if p.is_file()}
        assert {n for n in files if "__pycache__" not in n} <= set(names)


def test_the_procfile_of_the_bundle_has_no_line_that_ends(root: Path) -> None:
    lines = bundled(root).read("Procfile").decode().splitlines()
    assert [line.split(":")[0] for line in lines] == ["web", "worker", "scheduler"]


def test_hooks_are_programs_in_the_bundle_and_nothing_else_is(root: Path) -> None:
    for entry in bundled(root).infolist():
        mode = entry.external_attr >> 16
        assert mode == (0o100755 if "hooks/" in entry.filename else 0o100644), entry.filename


def test_the_service_says_the_commit_that_the_bundle_is_of(root: Path, tmp_path: Path) -> None:
    packed = bundled(root)
    packed.extractall(tmp_path / "current")
    program = "from service.settings import Settings; print(Settings.load().commit_sha)"
    said = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path / "current",
        env={**REQUIRED, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == git(root, "rev-parse", "HEAD")


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_has_its_own_settings(root: Path, stage: str) -> None:
    config = yaml.safe_load(bundled(root, stage).read(".ebextensions/20-stage.config"))
    options = config["option_settings"]
    assert options["aws:elasticbeanstalk:application:environment"]["APP_ENV"] == stage
    for name, arn in options["aws:elasticbeanstalk:application:environmentsecrets"].items():
        assert arn == f"arn:aws:ssm:eu-central-1:111122223333:parameter/slipway/{stage}/{name}"


def test_the_same_commit_makes_the_same_bundle(root: Path) -> None:
    first = Path(str(bundled(root).filename)).read_bytes()
    for path in root.rglob("*.py"):
        os.utime(path, (0, 0))
    assert Path(str(bundled(root).filename)).read_bytes() == first
    (root / "service" / "more.py").write_text('"""More."""\n')
    commit(root)
    assert Path(str(bundled(root).filename)).read_bytes() != first


def test_what_is_not_committed_is_said_and_left_out(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "service" / "new.py").write_text('"""New."""\n')
    (root / "requirements.txt").write_text("changed\n")
    packed = bundled(root)
    assert "service/new.py" not in packed.namelist()
    assert packed.read("requirements.txt") != b"changed\n"
    said = capsys.readouterr().out
    assert "warning: not committed, so not in it: requirements.txt, service/new.py" in said
    assert f"production at {git(root, 'rev-parse', 'HEAD')}" in said


def test_what_could_not_be_deployed_is_refused(untouched: Path, tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"stages/production\.config:\d+: REGION is yours to put in"):
        bundle.make(untouched, "production", tmp_path / "bundle.zip")
    assert not (tmp_path / "bundle.zip").exists()


def test_a_file_that_is_no_zip_is_not_written_over(root: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(Failed, match="notes is there, and is no zip"):
        bundle.make(root, "production", tmp_path / "notes")
    assert (tmp_path / "notes").read_text() == "mine"


def test_a_folder_that_is_no_repository_is_refused(root: Path, tmp_path: Path) -> None:
    shutil.rmtree(root / ".git")
    with pytest.raises(
        Failed, match=r"no bundle can be made of the last commit in .*: .*not a git repository"
    ):
        bundle.make(root, "production", tmp_path / "bundle.zip")


def test_a_file_that_is_needed_and_not_committed_is_refused(root: Path, tmp_path: Path) -> None:
    git(root, "rm", "--quiet", "--cached", "requirements.txt")
    git(root, "commit", "--quiet", "--message", "Without them")
    with pytest.raises(Failed, match=r"the last commit in .*'requirements\.txt' did not match"):
        bundle.make(root, "production", tmp_path / "bundle.zip")


def test_a_link_is_refused(root: Path, tmp_path: Path) -> None:
    (root / "service" / "link.py").symlink_to("app.py")
    commit(root)
    with pytest.raises(Failed, match=r"service/link\.py is a link"):
        bundle.make(root, "production", tmp_path / "bundle.zip")


def test_a_bundle_that_is_too_large_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(Failed, match="Elastic Beanstalk takes 1000"):
        bundle.make(root, "production", tmp_path / "bundle.zip", limit=1000)


def test_a_place_that_cannot_be_written_is_one_line(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failed, match=r"bundle\.zip cannot be written: "):
        bundle.make(root, "production", tmp_path / "file" / "bundle.zip")


def test_the_command_takes_a_stage_that_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["bundle", "--stage", "test"])
    assert "invalid choice: 'test'" in capsys.readouterr().err
    assert main(["bundle", "--stage", "staging", "--output", str(ROOT / "Procfile")]) == 1
    assert "Procfile is there, and is no zip" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "there", "instead", "said"),
    [
        (
            f"{EB}/bundle/Procfile",
            "scheduler:",
            "release:",
            r"bundle/Procfile:3: release would be started again whenever it ends",
        ),
        (
            f"{EB}/production.cfg.yml",
            "OptionSettings:\n",
            "OptionSettings:\n"
            '  aws:elasticbeanstalk:application:environment: { PROXY_HOPS: "2" }\n',
            r"production\.cfg\.yml:\d+: PROXY_HOPS is set at .*/10-service\.config:\d+ too",
        ),
        (f"{EB}/staging.cfg.yml", '"50"', '"60"', r"\.yml:\d+: IdleTimeout must be less than"),
        (f"{EB}/staging.cfg.yml", "    IdleTimeout", "    # ", r"\.yml:1: has no IdleTimeout"),
        (f"{EB}/staging.cfg.yml", 'MaxSize: "2"', "MaxSize: many", r":25: many is no whole number"),
        (f"{EB}/staging.cfg.yml", "1.1.0.0", "1.0", r"AWSConfigurationTemplateVersion: 1\.1\.0\.0"),
        (
            f"{EB}/stages/staging.config",
            "  aws:elasticbeanstalk:application:environment:\n    APP_ENV: staging\n",
            "  - { namespace: a, option_name: b, value: c }\n",
            r"staging\.config:(3|5|6|7): (does not parse|write option_settings as NAMESPACE)",
        ),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_line(
    untouched: Path, name: str, there: str, instead: str, said: str
) -> None:
    path = untouched / name
    assert there in path.read_text()
    path.write_text(path.read_text().replace(there, instead, 1))
    with pytest.raises(Failed, match=said):
        read_manifest(untouched)


@pytest.mark.parametrize("stage", STAGES)
def test_roles_are_those_that_the_template_makes(stage: str) -> None:
    """And an instance may read the secrets that its stage refers to."""
    made = yaml.safe_load((ROOT / EB / "roles.yaml").read_text())["Resources"].values()
    names = {name for each in made for key, name in each["Properties"].items() if "Name" in key}
    options = yaml.safe_load((ROOT / EB / f"{stage}.cfg.yml").read_text())["OptionSettings"]
    environment = options["aws:elasticbeanstalk:environment"]
    profile = options["aws:autoscaling:launchconfiguration"]["IamInstanceProfile"]
    assert profile == f"slipway-{stage}"
    assert {profile, environment["ServiceRole"]} <= names
    (role,) = (each for each in made if each["Properties"].get("RoleName") == profile)
    (statement,) = role["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    allowed = statement["Resource"]["Fn::Sub"].partition(":parameter")[2].removesuffix("*")
    secrets = re.findall(r"parameter(/.*)", (ROOT / EB / f"stages/{stage}.config").read_text())
    assert len(secrets) == 4
    assert all(secret.startswith(allowed) for secret in secrets)


def test_hooks_are_programs_here_that_stop_at_the_first_failure() -> None:
    hooks = [*(ROOT / EB / "bundle/.platform").glob("*hooks/*/*")]
    assert len(hooks) == 3
    for hook in hooks:
        assert os.access(hook, os.X_OK), hook
        text = hook.read_text()
        assert text.startswith("#!/bin/bash\n")
        assert "\nset -euo pipefail\n" in text
        subprocess.run(["bash", "-n", str(hook)], check=True)
