"""Going back: what to, what is kept for it, and what is said of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from deploy.shell import Failed
from deploy.vps import table
from deploy.vps.host import edge, releases, status, units, variables
from deploy.vps.host.layout import Host
from deploy.vps.host.release import release
from deploy.vps.host.rollback import rollback
from tests.deploy.standin import HEALTHY, RELEASE, THREE, Servers, vps
from tests.deploy.vps_host import Played, make_served, steps, unpacked

BEFORE = HEALTHY["history"][0]


@pytest.fixture
def served(tmp_path: Path) -> tuple[Host, Played, Path]:
    return make_served(tmp_path)


def test_what_was_gone_back_from_is_kept_for_a_rollback_to_it(
    served: tuple[Host, Played, Path],
) -> None:
    host, _, first = served
    release(host, second := unpacked(host, 2), "alice")
    rollback(host, None, "alice")
    release(host, third := unpacked(host, 3), "alice")
    assert releases.kept(host.layout) == [second.name, first.name, third.name]
    rollback(host, second.name, "alice")
    assert edge.serving(host) == second
    assert releases.history(host.layout) == [first.name, third.name, second.name]


def test_what_was_gone_back_from_goes_first_when_there_are_too_many(
    served: tuple[Host, Played, Path],
) -> None:
    host, _, first = served
    release(host, second := unpacked(host, 2), "alice")
    rollback(host, None, "alice")
    release(host, third := unpacked(host, 3), "alice")
    release(host, fourth := unpacked(host, 4), "alice")
    assert not second.exists()
    assert releases.kept(host.layout) == [first.name, third.name, fourth.name]


def test_a_rollback_takes_a_part_of_a_name_and_a_commit(served: tuple[Host, Played, Path]) -> None:
    host, _, first = served
    release(host, second := unpacked(host, 2), "alice")
    rollback(host, first.name.partition("-")[2][-7:], "alice")
    assert edge.serving(host) == first
    rollback(host, f"{2:012x}{'0' * 28}", "alice")
    assert edge.serving(host) == second
    with pytest.raises(Failed, match=f"which one\\?\n  {first.name}\n  {second.name}"):
        rollback(host, "20260101", "alice")
    with pytest.raises(Failed, match=f"there is no release 'x' here; there are:\n  {first.name}"):
        rollback(host, "x", "alice")


def test_several_servers_take_a_part_of_a_name_too(servers: Servers, tmp_path: Path) -> None:
    assert vps(tmp_path, THREE, "rollback", "000000001") == 0
    rolled = [line for line in servers.asked() if "rollback" in line]
    assert rolled == [f"web1: rollback {BEFORE}", f"web2: rollback {BEFORE}"]


def test_status_names_what_can_be_gone_back_to(
    served: tuple[Host, Played, Path],
    servers: Servers,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    host, _, _ = served
    release(host, second := unpacked(host, 2), "alice")
    rollback(host, None, "alice")
    found = status.status(host)
    assert f"to go back to    {second.name}" in status.lines(found)
    assert table.to_go_back_to({"one": found}) == [
        f"vps rollback, on one: by name to {second.name}"
    ]
    servers.answer("web1", "status", out={**HEALTHY, "kept": ["a", BEFORE, RELEASE]})
    servers.answer("web2", "status", out={**HEALTHY, "kept": ["a", BEFORE, RELEASE]})
    capsys.readouterr()
    assert vps(tmp_path, THREE, "status") == 0
    assert f"vps rollback, on web1, web2: to {BEFORE}; by name to a\n" in capsys.readouterr().out


def test_the_names_of_the_variables_that_go_back_are_said_and_how_to_go_forward(
    served: tuple[Host, Played, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    host, _, _ = served
    variables.change(host, {"STRIPE_KEY": "hunter9", "SMOKE_TOKEN": "hunter4"}, (), "alice")
    capsys.readouterr()
    rollback(host, None, "alice")
    said = capsys.readouterr().out
    assert "variables go back too: SMOKE_TOKEN, STRIPE_KEY\n" in said
    assert "`vps release`, or a push of a new commit, goes forward again" in said
    assert "hunter" not in said


def test_without_other_variables_nothing_is_said_of_them(
    served: tuple[Host, Played, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    host, _, _ = served
    release(host, unpacked(host, 2), "alice")
    rollback(replace(host, server=replace(host.server, servers=2)), None, "alice")
    said = capsys.readouterr().out
    assert "variables go back" not in said
    assert "push" not in said


@pytest.mark.parametrize("unit", [units.NGINX, units.POSTGRESQL])
def test_without_what_it_needs_nothing_is_tried(
    served: tuple[Host, Played, Path], unit: str
) -> None:
    """It would take a minute to find out, and nothing that serves would be any better for it."""
    host, played, _ = served
    release(host, unpacked(host, 2), "alice")
    played.ran.clear()
    del played.started[unit]
    with pytest.raises(Failed, match="does not run on web1, so nothing was touched"):
        rollback(host, None, "alice")
    with pytest.raises(Failed, match="`vps provision` starts it"):
        release(host, unpacked(host, 3), "alice")
    assert steps(played) == []
