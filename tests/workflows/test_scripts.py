"""What CI calls beside our commands: .ci/cli installs a platform's CLI, .ci/keys writes what is
read from files."""

import json
import re
import stat
import subprocess
from pathlib import Path

import pytest

from deploy.pipeline.plans import PLANS
from service.environment import ROOT
from tests.workflows.machine import PLAIN

TOOLS = ("apt-get", "curl", "npm", "sudo", "tar")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A machine without any platform's CLI, on which nothing is installed: it is written down."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "mktemp", "id", "cat", "mkdir"):
        (programs / name).symlink_to(f"/usr/bin/{name}")
    for name in TOOLS:
        (programs / name).write_text(PLAIN.format(name=name, folder=tmp_path))
        (programs / name).chmod(0o755)
    for name in ("ln", "python3", "chmod", "tee"):  # what root does, here as in CI
        (programs / name).write_text(PLAIN.format(name=name, folder=tmp_path))
        (programs / name).chmod(0o755)
    for name in ("eb", "aws"):  # the environments that python3 would have made
        python = tmp_path / "opt" / name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(PLAIN.format(name=python, folder=tmp_path))
        python.chmod(0o755)
    return tmp_path


def cli(bare: Path, target: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / ".ci" / "cli"), target],
        env={"PATH": str(bare / "bin"), "HOME": str(bare), "OPT": str(bare / "opt")},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("target", sorted({*PLANS} - {"vps"}))
def test_a_cli_is_had_by_its_version_and_by_https(target: str, bare: Path) -> None:
    ended = cli(bare, target)
    assert ended.returncode == 0, ended.stderr
    called = (bare / "called").read_text()
    for address in re.findall(r"\S+://\S+", called):
        assert address.startswith("https://")
        assert re.search(r"\d+\.\d+\.\d+|google-cloud-cli", address), address
    for package in re.findall(r"(?:npm|pip) install .* (\S+)$", called, re.M):
        assert re.search(r"(@|==)\d+\.\d+\.\d+$", package)


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("ecs", ["aws"]),  # target: ecs
        ("elasticbeanstalk", ["aws", "eb"]),  # target: elasticbeanstalk
    ],
)
def test_one_of_a_python_package_has_an_environment_of_its_own(
    target: str, names: list[str], bare: Path
) -> None:
    assert cli(bare, target).returncode == 0
    called = (bare / "called").read_text()
    for name in names:
        made = bare / "opt" / name
        for line in (
            f"python3 -m venv {made}",
            rf"{made}/bin/python -m pip install --quiet aws(eb)?cli==\d+\.\d+\.\d+",
            f"ln -sf {made}/bin/{name} /usr/local/bin/",
        ):
            assert re.search(rf"^(sudo )?{line}$", called, re.M), called


def test_what_is_there_stays(bare: Path) -> None:
    (bare / "bin" / "docker").symlink_to("/bin/true")
    assert cli(bare, "docker").returncode == 0
    assert not (bare / "called").exists()


def test_no_target_is_none(bare: Path) -> None:
    ended = cli(bare, "fly.io")
    assert (ended.returncode, ended.stderr) == (2, "fly.io is no target\n")


def keys(home: Path, **variables: str) -> None:
    env = {"PATH": "/usr/bin:/bin", "HOME": str(home), **variables}
    subprocess.run([str(ROOT / ".ci" / "keys")], env=env, check=True, timeout=30)


def test_keys_are_files_that_nobody_else_reads(tmp_path: Path) -> None:
    google, aws = tmp_path / "google.json", tmp_path / "aws"
    keys(
        tmp_path,
        SSH_KEY="-----BEGIN\nkey",
        KNOWN_HOSTS="203.0.113.7 ssh-ed25519 AAAA",
        KUBE_CONFIG="apiVersion: v1",
        AWS_ID_TOKEN="a",
        AWS_ROLE_ARN="arn",
        AWS_WEB_IDENTITY_TOKEN_FILE=str(aws),
        GOOGLE_ID_TOKEN="g",
        GOOGLE_SERVICE_ACCOUNT="ci@project.example",
        GOOGLE_WORKLOAD_IDENTITY_PROVIDER="projects/1/providers/gitlab",
        CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE=str(google),
    )
    found = json.loads(google.read_text())
    assert found["audience"] == "//iam.googleapis.com/projects/1/providers/gitlab"
    assert Path(found["credential_source"]["file"]).read_text() == "g"
    assert "ci@project.example:generateAccessToken" in found["service_account_impersonation_url"]
    assert (tmp_path / ".ssh" / "id_ed25519").read_text() == "-----BEGIN\nkey\n"
    assert (tmp_path / ".kube" / "config").read_text() == "apiVersion: v1\n"
    for path in tmp_path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_what_is_not_set_is_not_written(tmp_path: Path) -> None:
    keys(tmp_path, AWS_ID_TOKEN="of a job that needs none", GOOGLE_ID_TOKEN="too")
    assert list(tmp_path.iterdir()) == []
