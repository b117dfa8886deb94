"""From a commit to a folder on a server, with a real Git."""

import os
import subprocess
from collections import namedtuple
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.shell import Failed
from deploy.vps.host import backups, export, releases
from deploy.vps.host.layout import Host
from deploy.vps.host.runner import Runner
from tests.deploy.test_vps_backups import add
from tests.deploy.vps_host import make_host

WHO = {"NAME": "alice", "EMAIL": "alice@example.com"}
GIT = {f"GIT_{kind}_{name}": text for kind in ("AUTHOR", "COMMITTER") for name, text in WHO.items()}
ENVIRON = {**os.environ, **GIT, "GIT_CONFIG_GLOBAL": "/dev/null"}
PROGRAM = "deploy/vps/host/__main__.py"
Usage = namedtuple("Usage", "total used free")


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=folder, env=ENVIRON, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with a commit."""
    folder = tmp_path / "clone"
    (folder / PROGRAM).parent.mkdir(parents=True)
    (folder / PROGRAM).write_text("print(1)\n")
    (folder / "requirements.txt").write_text("flask==3.1\n")
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o755)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    return folder


@pytest.fixture
def host(tmp_path: Path, clone: Path) -> Host:
    """A server to which it was pushed."""
    made = replace(make_host(tmp_path)[0], runner=Runner())
    git(tmp_path, "init", "-q", "--bare", str(made.layout.repository))
    git(clone, "push", "-q", str(made.layout.repository), "main")
    return made


def test_a_commit_becomes_a_release_as_a_whole(host: Host, clone: Path) -> None:
    commit = git(clone, "rev-parse", "HEAD")
    for ref in ("main", commit, commit[:10], "refs/heads/main", "main^0"):
        assert export.resolve(host, ref, ENVIRON) == commit
    folder = export.unpack(host, commit, ENVIRON)
    assert releases.commit(folder) == commit
    assert (folder / PROGRAM).read_text() == "print(1)\n"
    assert (folder / "run").stat().st_mode & 0o777 == 0o755
    assert [each.name for each in host.layout.releases.iterdir()] == [folder.name]


@pytest.mark.parametrize("ref", ["", "--help", "-x", "a b", "main;id", "$(id)", "x" * 201, "a:b"])
def test_what_is_no_name_of_a_commit_is_not_shown_to_git(host: Host, ref: str) -> None:
    with pytest.raises(Failed, match="is no name of a commit"):
        export.resolve(host, ref, ENVIRON)


def test_a_commit_that_is_not_there(host: Host) -> None:
    with pytest.raises(Failed, match=r"no commit 'other' in .*, to which it must be pushed first"):
        export.resolve(host, "other", ENVIRON)
    elsewhere = replace(host, server=replace(host.server, repository="git@example.com:x"))
    with pytest.raises(Failed, match=r"no commit 'other' in git@example.com:x"):
        export.resolve(elsewhere, "other", ENVIRON)


def test_a_branch_is_the_one_that_was_fetched(host: Host, clone: Path) -> None:
    git(clone, "commit", "-q", "--allow-empty", "-m", "two")
    newer = git(clone, "rev-parse", "HEAD")
    assert export.resolve(host, "main", ENVIRON) != newer
    host = replace(host, server=replace(host.server, repository=str(clone)))
    export.fetch(host, ENVIRON)
    assert export.resolve(host, "main", ENVIRON) == newer
    git(clone, "commit", "-q", "--amend", "--allow-empty", "-m", "another two")
    export.fetch(host, ENVIRON)
    assert export.resolve(host, "main", ENVIRON) == git(clone, "rev-parse", "HEAD")
    pushed_alone = replace(host, server=replace(host.server, repository=None))
    assert export.resolve(pushed_alone, "main", ENVIRON) == git(clone, "rev-parse", "HEAD~1")


def test_a_repository_that_does_not_answer(host: Host, tmp_path: Path) -> None:
    host = replace(host, server=replace(host.server, repository=str(tmp_path / "none")))
    with pytest.raises(Failed, match=r"(?s)none cannot be fetched from.*deploy keys"):
        export.fetch(host, ENVIRON)


@pytest.mark.parametrize(
    ("missing", "why"),
    [("requirements.txt", "has no requirements.txt"), (PROGRAM, "has no deploy/vps/host")],
)
def test_a_commit_that_cannot_be_released_leaves_nothing(
    host: Host, clone: Path, missing: str, why: str
) -> None:
    git(clone, "rm", "-q", missing)
    git(clone, "commit", "-q", "-m", "less")
    git(clone, "push", "-q", str(host.layout.repository), "main")
    check = export.unpack if missing == PROGRAM else export.check_room
    commit = export.resolve(host, "main", ENVIRON)
    with pytest.raises(Failed, match=why):
        check(host, commit, ENVIRON)
    assert list(host.layout.releases.iterdir()) == []


@pytest.mark.parametrize("busy", [False, True])
def test_back_ups_over_their_days_make_room_for_a_release(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], busy: bool
) -> None:
    """Not while another one is made, which nobody waits for here."""
    for day in range(1, 6):
        add(host, day)
    full = {"20260101T031000Z-nightly.dump", "20260102T031000Z-nightly.dump"}

    def usage(_: Path) -> Usage:
        there = {path.name for path in host.layout.backups.iterdir()}
        return Usage(0, 0, (299 if there & full else 301) << 20)

    monkeypatch.setattr("shutil.disk_usage", usage)
    commit = export.resolve(host, "main", ENVIRON)
    with backups.alone(host) if busy else nullcontext():
        if busy:
            with pytest.raises(Failed, match="has 299 MiB free"):
                export.check_room(host, commit, ENVIRON)
            return
        export.check_room(host, commit, ENVIRON)
    said = "old back-ups were removed: 20260101T031000Z-nightly, 20260102T031000Z"
    assert said in capsys.readouterr().out
    assert len(backups.every(host.layout)) == backups.FEWEST


def test_with_room_a_release_removes_no_back_up(host: Host) -> None:
    for day in range(1, 6):
        add(host, day)
    export.check_room(host, export.resolve(host, "main", ENVIRON), ENVIRON)
    assert len(backups.every(host.layout)) == 5


@pytest.mark.parametrize(("free", "fits"), [(299, False), (301, True)])
def test_a_full_disk_is_said_with_the_figures(
    host: Host, monkeypatch: pytest.MonkeyPatch, free: int, fits: bool
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, free << 20))
    commit = export.resolve(host, "main", ENVIRON)
    if fits:
        export.check_room(host, commit, ENVIRON)
        return
    with pytest.raises(Failed, match=r"has 299 MiB free, and a release needs 300 MiB. Nothing"):
        export.check_room(host, commit, ENVIRON)
