"""What git, editors and GitHub read of this repository beside its code."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.environment import ROOT
from service.settings import Settings

HOOKS = [
    hook
    for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    for hook in repository["hooks"]
]
ON_FILES = [hook for hook in HOOKS if hook.get("pass_filenames") is not False]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
# https://docs.github.com/communities/using-templates-to-encourage-useful-issues-and-pull-requests
KINDS = {"checkboxes", "dropdown", "input", "markdown", "textarea"}


def test_the_devcontainer_is_the_python_and_the_port_of_ours() -> None:
    found = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    python = (ROOT / ".python-version").read_text().strip()
    assert found["image"] == f"mcr.microsoft.com/devcontainers/python:{python}"
    assert found["forwardPorts"] == [Settings.model_fields["port"].default]
    assert found["postCreateCommand"] == "make setup"


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_each_hook_runs_from_the_environment_and_passes_on_what_is_here(
    hook: dict[str, Any],
) -> None:
    program, *words = shlex.split(hook["entry"])
    assert program.startswith(".venv/bin/")
    mine = str(Path(sys.executable).parent / Path(program).name)
    given = [] if hook.get("pass_filenames") is False else ["service/settings.py"]
    # Or a pytest among them would begin to measure coverage anew, and remove what there is.
    env = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    command = [mine, *words, *given]
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "hook", [each for each in HOOKS if each.get("pass_filenames") is not False]
)
def test_each_hook_on_files_finds_what_is_wrong(hook: dict[str, Any], tmp_path: Path) -> None:
    """The control."""
    misspelt = "reci" + "eve"
    (tmp_path / "wrong.py").write_text(f"import os\nx = {{  '{misspelt}':1 }}\n")
    program, *words = shlex.split(hook["entry"])
    mine = str(Path(sys.executable).parent / Path(program).name)
    check = ["--check"] if "format" in words else ["--no-fix"] if "check" in words else []
    command = [mine, *words, *check, str(tmp_path / "wrong.py")]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode != 0


def test_the_forms_of_issues_are_forms() -> None:
    assert len(FORMS) >= 3
    for path in FORMS:
        form = yaml.safe_load(path.read_text())
        if path.name == "config.yml":
            assert form.keys() <= {"blank_issues_enabled", "contact_links"}
            continue
        assert form["name"] and form["description"], path
        asked = [each for each in form["body"] if each["type"] != "markdown"]
        assert {each["type"] for each in form["body"]} <= KINDS, path
        assert len({each["id"] for each in asked}) == len(asked) > 0, path
        assert all(each["attributes"]["label"] for each in asked), path
