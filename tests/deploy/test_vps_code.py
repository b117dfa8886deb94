"""How the code gets to the servers, and what is said if it does not."""

import os
import subprocess
from pathlib import Path

import pytest

from deploy.shell import Failed
from deploy.vps import code
from deploy.vps.servers import Server
from deploy.vps.ssh import Ssh

ONE = Server(name="one", address="one", roles=("web",))


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=alice", "-c", "user.email=alice@example.com"]
    command = ["git", "-C", str(folder), *who, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "clone").mkdir()
    git(tmp_path / "clone", "init", "--quiet")
    for message in ("one", "two"):
        git(tmp_path / "clone", "commit", "--quiet", "--allow-empty", "--message", message)
    return tmp_path / "clone"


def test_a_shallow_clone_is_refused_before_anything_is_sent(clone: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{clone}", "shallow")
    with pytest.raises(Failed, match=r"git fetch --unshallow.*`fetch-depth: 0`"):
        code.push(tmp_path / "shallow", Ssh(), (ONE,), "0" * 40)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "fatal: ''/srv/slipway/repository.git'' does not appear to be a git repository",
            "one: is not provisioned to its end: python -m deploy vps provision",
        ),
        ("ssh: connect to host one port 22: No route to host", "one does not answer"),
    ],
)
def test_a_server_that_has_no_repository_yet_is_not_lost(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, why: str
) -> None:
    """Git says that it could not read from there, of both."""
    (tmp_path / "ssh").write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 128\n')
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(Failed, match=why):
        code.push(clone, Ssh(), (ONE,), git(clone, "rev-parse", "HEAD"))


def test_a_disk_that_is_full_during_a_push_is_said_in_words(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "remote: fatal: unable to write loose object file: No space left on device"
    (tmp_path / "ssh").write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(Failed, match="one: the disk is full, and the code was not taken"):
        code.push(clone, Ssh(), (ONE,), git(clone, "rev-parse", "HEAD"))
