"""A server in trouble, with a full disk or a worker that crashes: what serves goes on, and what
would mend it is let in."""

import resource
from pathlib import Path

import pytest

from deploy.shell import Failed
from deploy.vps.host import audit, edge, layout, releases, variables
from deploy.vps.host.layout import Host
from deploy.vps.host.release import look, release
from deploy.vps.host.rollback import rollback
from tests.deploy.vps_host import WORKERS, Played, make_served, unpacked


@pytest.fixture
def served(tmp_path: Path) -> tuple[Host, Played, Path]:
    return make_served(tmp_path)


def test_a_worker_that_crashes_does_not_keep_out_the_release_that_mends_it(
    served: tuple[Host, Played, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    host, played, first = served
    for unit in WORKERS:
        played.started.pop(unit)  # and systemd has given it up
    played.broken = first
    release(host, second := unpacked(host, 2), "alice")
    assert edge.serving(host) == layout.target(host.layout.workers) == second
    assert releases.history(host.layout) == [first.name, second.name]
    assert "that failed, and is left so" in capsys.readouterr().err


def test_a_release_that_fails_while_it_looks_does_not_stay(
    served: tuple[Host, Played, Path],
) -> None:
    host, played, first = served
    played.started["slipway-web@green.service"] = 1
    played.failing = {"root stop green": "exit 1"}
    folder = unpacked(host, 2)
    with pytest.raises(Failed, match=f"it is in {host.layout.failed}"):
        release(host, folder, "alice")
    assert [each.name for each in releases.every(host.layout)] == [first.name]


def hinder(path: Path) -> None:
    """Nothing is written or linked there any more, as on a full disk."""
    path.with_name(f".{path.name}.new").mkdir()


@pytest.mark.parametrize("what", ["env/current", "workers"])
def test_a_disk_that_is_full_after_the_switch_switches_back(
    served: tuple[Host, Played, Path], what: str
) -> None:
    host, played, first = served
    (host.layout.env / "2.env").write_text("LOG_LEVEL=DEBUG\n")
    folder = variables.copied(host, first, host.layout.env / "2.env")
    hinder(host.layout.root / what)
    with pytest.raises(Failed, match=rf"Is a directory(.|\n)*{first.name} serves, as blue"):
        release(host, folder, "alice")
    assert edge.serving(host) == first
    assert "slipway-web@green.service" not in played.started
    assert not folder.exists()
    assert layout.target(host.layout.workers) == first


def test_a_rollback_needs_no_room_on_the_disk(
    served: tuple[Host, Played, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    host, _, first = served
    release(host, second := unpacked(host, 2), "alice")
    hinder(host.layout.history)
    host.layout.log.unlink()
    host.layout.log.symlink_to("/dev/full")
    rollback(host, None, "alice")
    assert edge.serving(host) == first
    said = capsys.readouterr().err
    assert f"not logged ({host.layout.log}: No space left on device): rollback, ok" in said
    assert "that it serves was not written down" in said
    host.layout.history.with_name(".history.new").rmdir()
    assert releases.history(host.layout) == [first.name, second.name]
    look(host)
    assert releases.history(host.layout) == [first.name]


def test_half_a_line_does_not_stay_in_the_log(
    served: tuple[Host, Played, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    host, _, _ = served
    before = host.layout.log.read_text()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        audit.append(host.layout, {"who": "alice", "what": "rollback"}, "ok", 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert host.layout.log.read_text() == before
    assert "not logged" in capsys.readouterr().err
