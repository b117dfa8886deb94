"""`vps restore` of several servers: when the site is closed for it, and when it is opened again."""

import io
import sys
from pathlib import Path

import pytest

from tests.deploy.standin import HEALTHY, ONE, RELEASE, THREE, Servers, vps


def test_a_restore_migrates_and_leaves_maintenance_as_it_was(
    servers: Servers, tmp_path: Path
) -> None:
    servers.answer("front", "maintenance", out={"maintenance": False})
    servers.answer("front", "restore", out="done\n")
    assert vps(tmp_path, THREE, "restore", "latest", "--yes") == 0
    assert servers.asked() == [
        "front: backups",
        "front: maintenance status",
        "front: maintenance on",
        "front: restore latest --yes",
        f"web1: migrate {RELEASE} --no-backup",
        "front: maintenance off",
    ]


def test_maintenance_stays_on_if_it_was_or_if_nobody_knows_what_happened(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers.answer("front", "maintenance", out={"maintenance": True})
    servers.answer("front", "restore", out="done\n")
    assert vps(tmp_path, THREE, "restore", "latest", "--yes") == 0
    servers.answer("front", "maintenance", out={"maintenance": False})
    servers.answer("front", "restore", code=255, err="Connection reset\n")
    assert vps(tmp_path, THREE, "restore", "latest", "--yes") == 1
    assert "front: maintenance off" not in servers.asked()
    assert "maintenance stays on" in capsys.readouterr().out


def test_one_that_was_cut_off_is_got_over_by_the_next(servers: Servers, tmp_path: Path) -> None:
    """It has left the site closed, as nobody else wants it."""
    closed = {"maintenance": True, "by": "a restore by bob@laptop"}
    servers.answer("front", "maintenance", out=closed)
    servers.answer("front", "restore", out="done\n")
    assert vps(tmp_path, THREE, "restore", "latest", "--yes") == 0
    assert servers.asked()[-1] == "front: maintenance off"


def test_who_closed_the_site_by_hand_opens_it(servers: Servers, tmp_path: Path) -> None:
    servers.answer("front", "maintenance", out={"maintenance": True, "by": "bob@laptop"})
    servers.answer("front", "restore", out="done\n")
    assert vps(tmp_path, THREE, "restore", "latest", "--yes") == 0
    asked = [line for line in servers.asked() if "maintenance" in line]
    assert asked == ["front: maintenance status"]


def test_a_site_that_is_closed_for_it_is_said_to_be(servers: Servers, tmp_path: Path) -> None:
    servers.answer("front", "maintenance", out={"maintenance": False})
    servers.answer("front", "restore", out="done\n")
    assert vps(tmp_path, THREE, "restore", "latest", "--yes") == 0
    (words,) = [words for _, words, _ in servers.log() if words[:2] == ["maintenance", "on"]]
    assert words[2] == "--who" and words[3].startswith("a restore by ")


@pytest.mark.parametrize("typed", ["20261126T031000Z-nightly", "latest"])
def test_who_is_asked_sees_what_latest_means_and_types_that(
    servers: Servers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{typed}\n"))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    servers.answer("one", "restore", out="done\n")
    agreed = typed != "latest"
    assert vps(tmp_path, ONE, "restore", "latest") == int(not agreed)
    restored = [line for line in servers.asked() if "restore" in line]
    assert restored == ([f"one: restore {typed} --yes"] if agreed else [])
    assert "20261126T031000Z-nightly  3 rows\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        (THREE, "typo", "front: there is no back-up typo; there are:\n  20261126T031000Z-nightly"),
        (THREE.replace(', "database"', ""), "latest", "no server in servers.toml has the role"),
    ],
)
def test_nothing_is_closed_for_a_back_up_that_is_not_there(
    servers: Servers,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    name: str,
    why: str,
) -> None:
    assert vps(tmp_path, text, "restore", name, "--yes") == 1
    assert [line for line in servers.asked() if "maintenance" in line] == []
    assert why in capsys.readouterr().err


def test_nor_while_releases_are_locked(servers: Servers, tmp_path: Path) -> None:
    locked = {"who": "alice", "since": "12:00", "why": "moving"}
    servers.answer("front", "status", out={**HEALTHY, "locked": locked})
    assert vps(tmp_path, THREE, "restore", "latest", "--yes") == 1
    assert servers.asked() == []


def test_a_schema_that_is_behind_stays_closed(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers.answer("front", "maintenance", out={"maintenance": False})
    servers.answer("front", "restore", out="done\n")
    servers.answer("web1", "migrate", RELEASE, "--no-backup", code=1, err="failed: lock timeout\n")
    servers.answer("web1", "migrate", RELEASE, "--pending", out={"pending": ["add_tags"]})
    assert vps(tmp_path, THREE, "restore", "latest", "--yes") == 1
    assert "front: maintenance off" not in servers.asked()
    said = capsys.readouterr()
    assert "maintenance stays on" in said.out
    assert "failed: web1: lock timeout" in said.err


def test_a_restore_that_fails_before_anything_is_replaced_opens_the_site_again(
    servers: Servers, tmp_path: Path
) -> None:
    servers.answer("front", "maintenance", out={"maintenance": False})
    servers.answer("front", "restore", code=1, err="failed: the back-up cannot be restored\n")
    assert vps(tmp_path, THREE, "restore", "latest", "--yes") == 1
    assert servers.asked()[-1] == "front: maintenance off"
