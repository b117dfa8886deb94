"""`vps status`: what is shown of each server, and what is a problem."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from deploy.vps import table
from deploy.vps.host import status
from tests.deploy.standin import HEALTHY, ONE, RELEASE, THREE, Servers, vps
from tests.deploy.test_vps_backups import add
from tests.deploy.test_vps_provision import ONE as PROVISIONED
from tests.deploy.test_vps_provision import fleet as make_fleet
from tests.deploy.vps_host import make_host, make_served

BAD = {
    "health": "degraded",
    "ill": ["redis down", "worker down"],
    "units": {"web@blue": "inactive", "web@green": "active", "worker": "failed"},
    "disk": {"free": 512 << 20, "total": 10 << 30},
    "backup_age": 3 * 86400,
    "certificate_days": 3,
    "maintenance": True,
    "maintenance_by": "bob@laptop",
    "out": ["web1"],
    "locked": {"who": "alice", "since": "12:00", "why": "moving"},
    "running": "release by bob runs since 12:00",
}


def test_status_is_a_table(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers.answer("web2", "status", out={**HEALTHY, **BAD})
    servers.answer("front", "status", code=255, err="ssh: connect: Connection refused\n")
    assert vps(tmp_path, THREE, "status") == 1
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells[1] == ["front", "balancer+database+redis", *["?"] * 3, "unreachable", *["?"] * 4]
    assert cells[2] == [
        "web1",
        "web+worker",
        f"{RELEASE} green",
        "0123456789ab",
        "2 h ago",
        "healthy",
        "3",
        "60 % free",
        "5 h ago",
        "60 days",
    ]
    assert cells[4:] == [
        [
            "front: front is there, but nothing listens on its port 22: is it SSH's?"
            " Or has it banned this address (fail2ban; 10 minutes, and longer each time)?"
        ],
        ["web2: is degraded: redis down, worker down"],
        ["web2: worker is failed: vps logs worker; vps provision starts it"],
        ["web2: has 512 MiB of disk left at /srv/slipway"],
        ["web2: its last back-up was made 3 d ago: vps logs backup"],
        ["web2: its certificate ends in 3 days"],
        ["web2: maintenance is on, by bob@laptop, everybody gets a 503: vps maintenance off"],
        ["web2: the balancer gives no requests to web1: vps balance in"],
        ["web2: releases are locked by alice at 12:00: moving"],
        ["web2: release by bob runs since 12:00"],
        ["vps rollback, on web1, web2: to 20261126T110000Z-000000000001"],
    ]


def test_status_for_machines(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert vps(tmp_path, ONE, "status", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"one": HEALTHY}


NEVER: dict[str, Any] = {
    "release": None,
    "commit": None,
    "age": None,
    "health": None,
    "history": [],
    "units": {"web@blue": "inactive", "web@green": "inactive", "worker": "inactive"},
}


def test_a_server_without_a_release_is_a_problem(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers.answer("web2", "status", out={**HEALTHY, **NEVER})
    assert vps(tmp_path, THREE, "status") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[4] == "web2: has no release yet: vps release"
    assert "green" not in lines[3]


def test_servers_that_serve_different_commits_are_a_problem(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers.answer("web1", "status", out={**HEALTHY, "commit": "f" * 40})
    assert vps(tmp_path, THREE, "status") == 1
    said = capsys.readouterr().out
    assert "servers differ in their commits: front 0123456789ab, web1 ffffffffffff" in said
    assert "web2 0123456789ab: vps release, or vps rollback RELEASE\n" in said


def test_all_that_a_server_is_for_has_to_run(tmp_path: Path) -> None:
    """Nothing runs here, and nobody listens on 443."""
    host, played = make_host(tmp_path, roles=frozenset({"balancer", "database", "redis"}))
    played.started.clear()
    assert [said for said in table.problems(status.status(host)) if "disk" not in said] == [
        "nginx is inactive: vps logs nginx; vps provision starts it",
        "postgresql is inactive: vps logs postgres; vps provision starts it",
        "backup.timer is inactive: vps logs backup; vps provision starts it",
        "redis-server is inactive: vps logs redis; vps provision starts it",
        "shows no certificate on port 443: vps logs nginx",
    ]


def test_a_nightly_back_up_that_failed_or_is_not_made_any_more_is_a_problem(
    tmp_path: Path,
) -> None:
    host, _, _ = make_served(tmp_path)
    add(host, 1)  # in January
    (said,) = [each for each in table.problems(status.status(host)) if "back-up" in each]
    assert said.startswith("its last back-up was made ")
    units = {**HEALTHY["units"], "backup": "failed", "backup.timer": "active"}
    assert table.problems({**HEALTHY, "units": units}) == ["backup is failed: vps logs backup"]
    assert table.problems({**HEALTHY, "units": {**units, "backup": "activating"}}) == []


def test_a_release_serves_since_it_came_to_do_so_and_not_since_it_was_made(
    tmp_path: Path,
) -> None:
    host, _, _ = make_served(tmp_path)  # made in January
    assert status.status(host)["age"] < 60
    then = time.time() - 7200
    os.utime(host.layout.colour("blue"), (then, then), follow_symlinks=False)
    said = " ".join(status.lines(status.status(host)))
    assert "(for 2 h), ready, as blue" in said


def test_what_a_service_that_is_degraded_lacks_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, played, _ = make_served(tmp_path)
    checks = {"database": {"status": "up"}, "redis": {"status": "down"}}
    answer = {"status": "degraded", "checks": checks}
    monkeypatch.setattr(played, "ask", lambda *_: (200, answer))
    found = status.status(host)
    assert (found["health"], found["ill"]) == ("degraded", ["redis down"])


def test_the_disk_with_the_least_room_is_the_one_that_is_told() -> None:
    disks = {Path("/srv/slipway"): (100 << 30, 0, 50 << 30), Path("/data"): (20 << 30, 0, 1 << 20)}
    disk = status.least_room(disks, disks.__getitem__)
    assert disk == {"free": 1 << 20, "total": 20 << 30, "path": "/data"}
    assert table.problems({**HEALTHY, "disk": disk}) == ["has 1 MiB of disk left at /data"]


def test_less_room_than_a_release_asks_for_is_a_problem_however_small_the_disk_is() -> None:
    disk = {"free": 300 << 20, "total": 600 << 20, "path": "/srv/slipway"}
    (said,) = table.problems({**HEALTHY, "disk": disk})
    assert said.startswith("has 300 MiB of disk left")


def test_a_certificate_that_only_stands_in_is_a_problem() -> None:
    (said,) = table.problems({**HEALTHY, "certificate_provisional": True})
    assert "which no browser trusts" in said


def test_what_a_server_was_not_told_of_servers_toml_is_said() -> None:
    fleet = make_fleet(PROVISIONED)
    told = json.loads(json.dumps(fleet.document(fleet.servers[0])))
    assert table.drift(fleet, "one", {**HEALTHY, "settings": told}) == []
    other = {**told, "domain": "old.example.com", "keep": 9}
    assert table.drift(fleet, "one", {**HEALTHY, "settings": other}) == [
        "has not been told of domain, keep in servers.toml: vps provision"
    ]


def test_the_next_rollback_is_named_first() -> None:
    found = {**HEALTHY, "release": "c", "history": ["a", "b", "c"], "kept": ["d", "a", "b", "c"]}
    assert table.to_go_back_to({"one": found}) == ["vps rollback, on one: to b; by name to a, d"]
