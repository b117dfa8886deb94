"""A key of CI may release and go back, and do nothing else."""

import subprocess
from pathlib import Path

import pytest

from service.environment import environment
from tests.deploy.servers.fleet import Fleet
from tests.deploy.servers.lab import new_key
from tests.waiting import until


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
    # Its worker has been started a moment ago.
    status = ("vps", "--ssh-config", str(ci), "status")
    until(lambda: one.clone.deploy(*status).returncode == 0)


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


def test_of_two_pushes_at_once_one_is_a_release_and_one_is_told_so(
    one: Fleet, ci: Path, tmp_path: Path
) -> None:
    """From two clones: an operator's, and CI's."""
    mine, other = one.clone.folder, tmp_path / "other"
    one.clone.git("clone", "--quiet", str(mine), str(other))
    name = ("-c", "user.name=bob", "-c", "user.email=bob@example.com")
    empty = ("commit", "--quiet", "--allow-empty", "--message")
    one.clone.git("-C", str(other), *name, *empty, "of CI")
    theirs = one.clone.git("-C", str(other), "rev-parse", "HEAD").stdout.strip()
    versions = [one.clone.commit("of an operator"), theirs]
    url = f"deploy@{one.front.address}:/srv/slipway/repository.git"
    pushes = [
        subprocess.Popen(
            ["git", "-C", str(folder), "push", "--force", url, "HEAD:refs/heads/main"],
            env={**environment(), "GIT_SSH_COMMAND": f"ssh -F {config}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for folder, config in ((mine, one.config), (other, ci))
    ]
    said = [each.communicate()[0] for each in pushes]
    assert sorted(each.returncode for each in pushes) == [0, 1], said
    won = [each.returncode for each in pushes].index(0)
    told = [line for line in said[1 - won].splitlines() if "wait until that has ended" in line]
    assert len(told) == 1, said
    assert f"release {versions[won]} by " in told[0]
    assert one.serving() == versions[won]
    git = "runuser -u deploy -- git -C /srv/slipway/repository.git"
    assert one.front.sh(f"{git} rev-parse main").strip() == versions[won]
    there = one.front.sh(f"{git} cat-file -e {versions[1 - won]} 2>/dev/null && echo there; true")
    assert there == ""  # what was refused did not stay
    assert versions[1 - won][:12] not in one.front.sh("ls /srv/slipway/releases")
    assert one.status()["one"]["running"] is None
