"""From a back-up to the live database: what is looked at first, for how long the site is closed,
and what is kept of what was."""

import argparse
import shutil
from collections import namedtuple
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.shell import Failed
from deploy.vps.host import data, edge, lock, restore
from deploy.vps.host.backups import About, Backup
from deploy.vps.host.layout import Host
from tests.deploy.test_vps_backups import add
from tests.deploy.vps_host import Played, make_host, make_served, steps

WAS, BACKUP = "what was live", "the back-up"
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def server(tmp_path: Path) -> tuple[Host, Played]:
    """One that serves, with a back-up."""
    host, played, _ = make_served(tmp_path)
    add(host, 1)
    return host, played


def seen_during(played: Played, step: str, look: Callable[[], object]) -> list[object]:
    found: list[object] = []
    played.during = {step: lambda: found.append(look())}
    return found


def test_the_site_is_closed_while_the_databases_are_swapped_and_no_longer(
    server: tuple[Host, Played],
    capsys: pytest.CaptureFixture[str],
) -> None:
    host, played = server
    closed: dict[str, bool] = {}
    played.during = {
        step: lambda step=step: closed.update({step: edge.closed_by(host.layout) is not None})  # type: ignore[misc]
        for step in ("pg_restore", "swap", "root migrate")
    }
    played.pending = "0005"
    said = restore.restore(host, "latest")
    made = "20260101T031000Z-nightly  2026-01-01 03:10 UTC, 0.0 MiB, 3 rows, revision 0004\n"
    assert made in capsys.readouterr().out
    assert closed == {"pg_restore": False, "swap": True, "root migrate": True}
    assert edge.closed_by(host.layout) is None
    (kept,) = [name for name in played.databases if name != "slipway"]
    assert played.databases == {"slipway": BACKUP, kept: WAS}
    assert said.startswith("20260101T031000Z-nightly is live")
    assert said.endswith(kept)


def test_one_that_is_called_again_keeps_what_was_live_before_the_first(
    server: tuple[Host, Played],
) -> None:
    host, played = server
    played.pending, played.failing = "0005", {"root migrate": "lock timeout"}
    with pytest.raises(Failed):
        restore.restore(host, "latest")
    played.failing = {}
    restore.restore(host, "latest")
    assert sorted(played.databases.values()) == [BACKUP, BACKUP, WAS]


def test_what_was_live_goes_after_the_days_that_back_ups_are_kept(
    server: tuple[Host, Played],
) -> None:
    host, played = server
    now = datetime.now(UTC)
    for days in (13, 15):
        name = f"{restore.REPLACED}{now - timedelta(days=days):%Y%m%d%H%M%S}"
        played.databases[name] = f"of {days} days ago"
    played.databases["slipway_replaced_by_hand"] = "somebody's"
    restore.restore(host, "latest")
    assert sorted(played.databases.values()) == ["of 13 days ago", "somebody's", BACKUP, WAS]


def test_a_schema_that_is_behind_is_not_opened(server: tuple[Host, Played]) -> None:
    host, played = server
    played.pending, played.failing = "0005", {"root migrate": "lock timeout"}
    with pytest.raises(Failed) as failure:
        restore.restore(host, "latest")
    assert edge.closed_by(host.layout) is not None
    assert played.databases["slipway"] == BACKUP
    said = str(failure.value)
    assert "is live, but its schema was not brought up to 20260101T000001Z-000000000001" in said
    assert "Maintenance stays on" in said
    (kept,) = [name for name in played.databases if name != "slipway"]
    assert said.endswith(f"kept as {kept}")


@pytest.mark.parametrize("was_closed", [True, False])
@pytest.mark.parametrize("failing", ["pg_restore", "swap", None])
def test_what_was_not_swapped_is_as_it_was(
    server: tuple[Host, Played], failing: str | None, was_closed: bool
) -> None:
    host, played = server
    edge.put(host.layout, edge.MAINTENANCE, wanted=was_closed)
    if failing:
        played.failing = {failing: "it failed"}
        with pytest.raises(Failed, match="it failed"):
            restore.restore(host, "latest")
        assert played.databases == {"slipway": WAS}
    else:
        restore.restore(host, "latest")
    assert (edge.closed_by(host.layout) is not None) is was_closed


def test_one_that_was_cut_off_is_got_over_by_the_next(server: tuple[Host, Played]) -> None:
    """By a power cut, say: it leaves the site closed, and nobody else does that."""
    host, played = server
    by = seen_during(played, "swap", lambda: edge.closed_by(host.layout))
    restore.restore(host, "latest")
    assert by == ["a restore"]
    edge.close(host.layout, edge.RESTORE)
    restore.restore(host, "latest")
    assert edge.closed_by(host.layout) is None


def test_who_closed_the_site_by_hand_opens_it(server: tuple[Host, Played]) -> None:
    host, _ = server
    edge.close(host.layout, "alice@laptop")
    restore.restore(host, "latest")
    assert edge.closed_by(host.layout) == "alice@laptop"


def test_what_one_that_was_cut_off_has_left_is_not_opened_by_one_that_fails(
    server: tuple[Host, Played],
) -> None:
    """The schema may be behind."""
    host, played = server
    edge.close(host.layout, edge.RESTORE)
    played.failing = {"swap": "it failed"}
    with pytest.raises(Failed, match="it failed"):
        restore.restore(host, "latest")
    assert edge.closed_by(host.layout) == edge.RESTORE


def test_of_several_servers_who_has_called_closes_and_migrates(tmp_path: Path) -> None:
    host, played = make_host(tmp_path, servers=3)
    add(host, 1)
    closed = seen_during(played, "swap", lambda: edge.closed_by(host.layout))
    restore.restore(host, "latest")
    assert closed == [None]
    edge.close(host.layout, f"{edge.RESTORE} by alice@laptop")
    restore.restore(host, "latest")
    assert edge.closed_by(host.layout) == "a restore by alice@laptop"
    assert not [each for each in played.ran if "migrate" in each]


@pytest.mark.parametrize("do", [restore.restore, restore.test])
def test_a_disk_without_room_for_the_database_once_more_is_refused(
    server: tuple[Host, Played], do: Callable[[Host, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    host, played = server
    played.databases["slipway_replaced_x"] = "of before"
    free = 79 << 20  # 80 are needed: 64, and 8 twice
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10 << 30, 10 << 30, free))
    with pytest.raises(Failed, match=r"79 MiB free.* 80 MiB .*: slipway_replaced_x \(sudo"):
        do(host, "latest")
    assert not [each for each in steps(played) if "root database" in each]


def test_without_the_live_database_the_dump_says_what_room_is_needed(
    server: tuple[Host, Played], monkeypatch: pytest.MonkeyPatch
) -> None:
    host, played = server
    played.databases.clear()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10 << 30, 10 << 30, 65 << 20))
    restore.restore(host, "latest")
    assert played.databases == {"slipway": BACKUP}


@pytest.mark.usefixtures("signals")
def test_nobody_waits_for_a_restore_test(server: tuple[Host, Played]) -> None:
    """It may take hours, in which somebody wants to go back, or the nightly back-up is made."""
    host, played = server
    running = seen_during(played, "pg_restore", lambda: lock.running(host.layout))
    said = argparse.Namespace(name="latest", who="alice", attended=False)
    data.try_backup(host, said)
    assert running == [None]
    assert not [each for each in played.ran if "flock" in each]
    assert played.databases == {"slipway": WAS}


def test_a_restore_and_a_restore_test_leave_each_others_database_alone(
    server: tuple[Host, Played],
) -> None:
    host, played = server
    mine, others = f"{restore.TRIED}1", f"{restore.SCRATCH}1"
    played.databases |= {mine: "of one that was killed", others: "of a restore"}
    restore.test(host, "latest")
    assert set(played.databases) == {"slipway", others}


@pytest.mark.parametrize(
    ("revision", "counts", "why"),
    [
        ("0004", {"users": 3}, None),
        ("0003", {"users": 3}, "revision 0003, not 0004"),
        ("0004", {"users": 2}, "users has 2 rows, not 3"),
        ("0004", {}, "users has None rows, not 3"),
        ("0004", {"users": 3, "more": 0}, "more has 0 rows, not None"),
    ],
)
def test_what_was_restored_is_compared(
    revision: str, counts: dict[str, int], why: str | None
) -> None:
    backup = Backup("20260101T031000Z-nightly", Path("x"), About("0004", {"users": 3}, 6, 0.1))
    if why is None:
        restore.compare(backup, revision, counts)
        return
    with pytest.raises(Failed, match=why):
        restore.compare(backup, revision, counts)


def test_a_restore_needs_the_server_with_the_database(tmp_path: Path) -> None:
    host, played = make_host(tmp_path, roles=frozenset({"web"}))
    add(host, 1)
    with pytest.raises(Failed, match="the database is not on web1"):
        restore.restore(host, "latest")
    assert played.ran == []
