"""A release to ECS migrates first, and fails unless all of it serves. The AWS CLI is our own."""

import os
import subprocess
from pathlib import Path

import pytest

from service.environment import ROOT

AWS = """#!/bin/sh
# In the place of the AWS CLI: notes what it is asked, and answers as it is told.
printf '%s\\n' "$*" >>"$NOTES"
case "$1 $2 $3" in
"ecs register-task-definition "*)
    family=$(printf %s "$4" | sed -n 's/.*"family": "\\([^"]*\\)".*/\\1/p')
    echo "arn:aws:ecs:eu-central-1:1:task-definition/$family:12" ;;
"ecs run-task "*) echo "$TASK" ;;
"ecs describe-tasks "*) printf "$ENDED\\n" ;;
"ecs wait services-stable") [ -e "$NOTES.waited" ] || { touch "$NOTES.waited"; exit 255; } ;;
"ecs describe-services "*) printf "$SERVING\\n" ;;
esac
"""
SCRIPT = ROOT / "deploy" / "ecs" / "release.sh"
ARN = "arn:aws:ecs:eu-central-1:1:task-definition/slipway-production"
NEW = rf"{ARN}-worker:12\t{ARN}-scheduler:12\t{ARN}-web:12"


class Release:
    """release.sh with an AWS CLI that is ours."""

    def __init__(self, folder: Path) -> None:
        self.notes = folder / "notes"
        aws = folder / "aws"
        aws.write_text(AWS)
        aws.chmod(0o755)
        self.given = {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "NOTES": str(self.notes),
            "TASK": "arn:task",
            "ENDED": r"0\tEssential container in task exited",
            "SERVING": NEW,
        }

    def run(self, *words: str, **given: str) -> subprocess.CompletedProcess[str]:
        command = [str(SCRIPT), *words]
        return subprocess.run(command, env=self.given | given, capture_output=True, text=True)

    def asked(self) -> list[str]:
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [" ".join(line.split()[1:3]) for line in lines if line.startswith("ecs ")]


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path)


def test_a_release_migrates_before_it_updates_the_services(release: Release) -> None:
    ended = release.run("production", "1a2b3c4")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith("release: production runs 1a2b3c4\n")
    assert release.asked() == [
        *["register-task-definition --cli-input-json"] * 4,
        "run-task --cli-input-json",
        "wait tasks-stopped",
        "describe-tasks --cluster",
        *["update-service --service"] * 3,
        *["wait services-stable"] * 2,  # the first one gave up
        "describe-services --cluster",
    ]
    notes = release.notes.read_text()
    assert notes.count("slipway:1a2b3c4") == 4
    assert "SHA" not in notes
    for kind in ("web", "worker", "scheduler"):
        assert f"--service {kind} --cli-input-json file://{kind}.service.json" in notes
        assert f"--task-definition {ARN}-{kind}:12" in notes
    assert f"file://migrate.run.json --task-definition {ARN}-migrate:12" in notes


def test_an_image_may_be_given_by_its_whole_name(release: Release) -> None:
    image = f"ghcr.io/team/slipway@sha256:{'d' * 64}"
    assert release.run("production", image).returncode == 0
    notes = release.notes.read_text()
    assert notes.count(f'"image": "{image}"') == 4
    assert "SHA" not in notes


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ENDED": r"1\tEssential container in task exited"}, "migrate ended with 1"),
        ({"ENDED": r"None\tResourceInitializationError"}, "ended with None\tResourceInit"),
        ({"TASK": "None"}, "migrate was not started"),
    ],
)
def test_without_its_schema_nothing_is_released(
    release: Release, given: dict[str, str], said: str
) -> None:
    ended = release.run("production", "1a2b3c4", **given)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert not [each for each in release.asked() if each.startswith("update-service")]


@pytest.mark.parametrize("serving", ["web:1", "worker:1", "scheduler:1", "web:123"])
def test_a_release_that_was_rolled_back_has_failed(release: Release, serving: str) -> None:
    kind = serving.partition(":")[0]
    ended = release.run("production", "1a2b3c4", SERVING=NEW.replace(f"{kind}:12", serving))
    assert ended.returncode == 1
    assert f"{ARN}-{serving}" in ended.stderr


def test_a_release_wants_a_stage_and_a_tag(release: Release) -> None:
    assert release.run("production").returncode == 2
    assert release.run("testing", "1a2b3c4").returncode != 0
    assert release.asked() == []
