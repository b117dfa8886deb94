"""A key of CI may release and go back, and do nothing else."""

import subprocess
from pathlib import Path

import pytest

from tests.deploy.servers.fleet import Fleet
from tests.deploy.servers.lab import new_key


@pytest.fixture(scope="module")
def ci(one: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OpenSSH's configuration of who has the key."""
    folder = tmp_path_factory.mktemp("ci")
    public = new_key(folder, "ci")
    with_key = ("[servers.one]", f'ci_keys = ["{public}"]\n[servers.one]')
    one.clone.first = one.clone.commit("a key of CI", {"deploy/servers.toml": with_key})
    one.ok("provision")
    return one.config_of(folder / "ci")


def test_it_releases_and_goes_back(one: Fleet, ci: Path) -> None:
    version = one.clone.commit("released by CI")
    released = one.clone.deploy("vps", "--ssh-config", str(ci), "release")
    assert released.returncode == 0, released.stderr
    assert one.serving() == version
    back = one.clone.deploy("vps", "--ssh-config", str(ci), "rollback")
    assert back.returncode == 0, back.stderr
    assert one.serving() != version
    status = one.clone.deploy("vps", "--ssh-config", str(ci), "status")
    assert status.returncode == 0


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["id"],
        ["slipway", "env", "list"],
        ["slipway", "run", "id"],
        ["slipway", "release", "x;id"],
        ["slipway status; id"],
        ["git-receive-pack", "/tmp"],
        ["git-upload-pack", "/srv/slipway/repository.git"],
        ["scp", "-t", "/tmp"],
    ],
)
def test_it_opens_nothing_else(one: Fleet, ci: Path, words: list[str]) -> None:
    command = ["ssh", "-F", str(ci), f"deploy@{one.front.address}", *words]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert ended.returncode != 0
    assert "uid=" not in ended.stdout
    assert "DATABASE_URL" not in ended.stdout


def test_it_forwards_nothing(one: Fleet, ci: Path) -> None:
    """No port of the server, such as PostgreSQL's, is reached through it."""
    command = ["ssh", "-F", str(ci), "-W", "127.0.0.1:5432", f"deploy@{one.front.address}"]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert ended.returncode != 0
    assert "prohibited" in ended.stderr
