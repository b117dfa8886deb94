"""Where things lie on a server: settings, links, releases, those that served, those that go."""

import ast
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.shell import Failed
from deploy.vps.host import edge, layout, releases
from deploy.vps.host.layout import Host, read_server
from deploy.vps.host.release import release
from service.environment import ROOT
from tests.deploy.vps_host import make_host, unpacked

SETTINGS: dict[str, Any] = {
    "server": "web1",
    "roles": ["web"],
    "domain": "api.example.com",
    "tls": "none",
    "branch": "main",
    "repository": None,
    "keep": 5,
    "web_servers": ["web1"],
    "behind_balancer": False,
    "backups": {"keep_days": 14, "copy_to": None},
}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return make_host(tmp_path)[0]


def names(host: Host) -> list[str]:
    return [each.name for each in releases.every(host.layout)]


def serve(host: Host, *numbers: int) -> list[str]:
    """Releases that have served one after the other; the last does, as blue."""
    found = [unpacked(host, number) for number in numbers]
    for each in found:
        releases.remember(host.layout, each.name)
    layout.link(host.layout.colour("blue"), found[-1])
    return [each.name for each in found]


def test_the_program_needs_python_alone() -> None:
    """A server's python3 has none of our packages when it runs, and older ones than ours."""
    ours = ("deploy.shell", "deploy.smoke", "deploy.vps.host")
    files = [*(ROOT / "deploy/vps/host").glob("*.py"), ROOT / "deploy/vps/root.py"]
    files += [ROOT / "deploy/shell.py", ROOT / "deploy/smoke.py"]
    assert len(files) > 20
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            else:
                imported = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in imported:
                known = name.partition(".")[0] in sys.stdlib_module_names
                of_root = path.name == "root.py" and not known
                assert (known or name == "deploy" or name.startswith(ours)) and not of_root, path


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, None),
        ({"servers": 3}, None),
        ({"servers": "many"}, "is not what it should be"),
        ({"roles": None}, "is not what it should be"),
        ({"backups": {}}, "lacks 'keep_days'"),
        ({"keep": "many"}, "is not what it should be"),
    ],
)
def test_the_settings_of_a_server(tmp_path: Path, change: dict[str, Any], why: str | None) -> None:
    path = tmp_path / "server.json"
    path.write_text(json.dumps(SETTINGS | change))
    if why is None:
        assert read_server(path).roles == {"web"}
        assert read_server(path).servers == change.get("servers", 1)
        return
    with pytest.raises(Failed, match=f"{why}.*python -m deploy vps provision"):
        read_server(path)


def test_settings_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"server.json cannot be read: No such file"):
        read_server(tmp_path / "server.json")
    (tmp_path / "server.json").write_text("{")
    with pytest.raises(Failed, match="is not what it should be"):
        read_server(tmp_path / "server.json")


def test_a_link_that_points_nowhere_has_no_target(tmp_path: Path) -> None:
    layout.link(tmp_path / "link", tmp_path / "gone")
    assert layout.target(tmp_path / "link") is None
    layout.link(tmp_path / "link", tmp_path)
    assert layout.target(tmp_path / "link") == tmp_path.resolve()
    assert layout.target(tmp_path) is None  # no link at all
    assert [each.name for each in tmp_path.iterdir()] == ["link"]


def test_a_file_is_replaced_as_a_whole_and_has_its_mode(tmp_path: Path) -> None:
    layout.write(tmp_path / "file", "one", 0o640)
    layout.write(tmp_path / "file", "two", 0o600)
    assert (tmp_path / "file").read_text() == "two"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_its_folder_may_be_a_link_to_another_disk(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "srv").symlink_to(tmp_path / "disk")
    linked, _ = make_host(tmp_path / "srv")
    release(linked, folder := unpacked(linked, 1), "alice")
    assert edge.serving(linked) == folder


def test_two_releases_of_a_commit_in_one_second_have_two_names(host: Host) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    first = releases.new_name(host.layout, "a" * 40, now)
    assert first == "20260101T000000Z-aaaaaaaaaaaa"
    (host.layout.releases / first).mkdir()
    assert releases.new_name(host.layout, "a" * 40, now) == "20260101T000001Z-aaaaaaaaaaaa"


def test_a_release_is_found_by_its_name_alone(host: Host) -> None:
    folder = unpacked(host, 1)
    assert releases.find(host.layout, folder.name) == folder
    assert releases.commit(folder) == f"{1:012x}{'0' * 28}"
    for name in ("", "..", "failed", "20260101T000009Z-000000000009", f"../releases/{folder.name}"):
        with pytest.raises(Failed, match=f"there are:\n  {folder.name}"):
            releases.find(host.layout, name)


def test_a_rollback_goes_to_the_one_before_or_to_a_named_one(host: Host) -> None:
    one, two, three = serve(host, 1, 2, 3)
    assert releases.before(host.layout, three, None).name == two
    assert releases.before(host.layout, three, one).name == one
    unsettled = unpacked(host, 4).name  # it serves, and that was not written down yet
    assert releases.before(host.layout, unsettled, None).name == three
    assert releases.before(host.layout, three, three).name == three  # asked for once more
    with pytest.raises(Failed, match="nothing to go back to"):
        releases.before(host.layout, one, None)


def test_what_was_gone_back_from_is_not_gone_back_to_by_itself(host: Host) -> None:
    one, two, three = serve(host, 1, 2, 3)
    releases.remember(host.layout, two)
    assert releases.history(host.layout) == [one, two]
    releases.remember(host.layout, three)
    releases.remember(host.layout, three)
    assert releases.history(host.layout) == [one, two, three]


def test_the_last_that_served_are_kept_and_what_a_unit_runs(host: Host) -> None:
    one, _, *kept = serve(host, 1, 2, 3, 4, 5)
    layout.link(host.layout.workers, host.layout.releases / one)
    prepared = unpacked(host, 6)
    (host.layout.releases / ".half").mkdir()
    (host.layout.releases / ".half.tar").touch()
    gone = releases.prune(host, prepared)
    assert names(host) == [one, *kept, prepared.name]
    assert len(gone) == 3
    assert releases.history(host.layout) == [one, *kept]


def test_variables_that_are_changed_do_not_use_up_the_way_back() -> None:
    names = ["1-a", "2-b", "3-c", "4-c", "5-c", "6-c"]
    assert releases.lasting(names, 2) == {"2-b", "5-c", "6-c"}
    assert releases.lasting(["1-a", "2-b"], 5) == {"1-a", "2-b"}


def test_packages_and_variables_go_with_their_last_release(host: Host) -> None:
    (name,) = serve(host, 1)
    for each in ("used", "unused"):
        (host.layout.environments / each).mkdir()
        (host.layout.env / f"{each}.env").touch()
    layout.link(host.layout.releases / name / ".venv", host.layout.environments / "used")
    layout.link(host.layout.releases / name / ".env", host.layout.env / "used.env")
    (host.layout.environments / "unused/file").touch(0o400)
    (host.layout.environments / "unused").chmod(0o500)
    releases.prune(host)
    assert [each.name for each in host.layout.environments.iterdir()] == ["used"]
    assert sorted(each.name for each in host.layout.env.glob("*.env")) == ["1.env", "used.env"]


def test_what_serves_is_not_taken_away(host: Host) -> None:
    (name,) = serve(host, 1)
    with pytest.raises(Failed, match="is what a unit runs"):
        releases.discard(host.layout, host.layout.releases / name, keep=False)
    other = unpacked(host, 2)
    assert releases.discard(host.layout, other, keep=True) == host.layout.failed
    assert releases.commit(host.layout.failed) == f"{2:012x}{'0' * 28}"
    releases.discard(host.layout, unpacked(host, 3), keep=True)
    assert releases.commit(host.layout.failed) == f"{3:012x}{'0' * 28}"  # the last one alone
    assert names(host) == [name]


def test_a_flag_says_which_colour_serves(host: Host) -> None:
    assert edge.colour(host.layout) == "blue"
    edge.switch(host.layout, "green")
    edge.switch(host.layout, "green")
    assert edge.colour(host.layout) == "green"
    assert (host.layout.edge / "green").stat().st_mode & 0o004  # nginx may see it
    edge.switch(host.layout, "blue")
    assert list(host.layout.edge.iterdir()) == []


BY_HAND = {"who": "alice", "since": "12:00", "release": False, "why": "taken out"}


def test_the_balancer_gives_requests_to_servers_that_it_has(tmp_path: Path) -> None:
    balancer, _ = make_host(tmp_path, roles=frozenset({"balancer"}), web_servers=("web1", "web2"))
    edge.balance(balancer, "web1", wanted=False, by=BY_HAND)
    edge.balance(balancer, "web1", wanted=False, by=BY_HAND)
    assert edge.out(balancer.layout) == ["web1"]
    with pytest.raises(Failed, match="web2 is the last one that gets requests"):
        edge.balance(balancer, "web2", wanted=False, by=BY_HAND)
    with pytest.raises(Failed, match="no server 'web3'; it has web1, web2"):
        edge.balance(balancer, "web3", wanted=False, by=BY_HAND)
    edge.balance(balancer, "web1", wanted=True, by=BY_HAND)
    assert edge.out(balancer.layout) == []


def test_a_flag_of_the_balancer_says_whose_it_is(tmp_path: Path) -> None:
    """Whom a person took out stays theirs, and an empty flag is nobody's."""
    balancer, _ = make_host(tmp_path, roles=frozenset({"balancer"}), web_servers=("web1", "web2"))
    released = {"who": "bob", "since": "12:00", "release": True, "why": "release of HEAD"}
    (flag := balancer.layout.edge / "out-web1").touch()
    assert edge.out_by(balancer.layout) == {"web1": {}}
    flag.unlink()
    for by, says in ((released, released), (BY_HAND, BY_HAND), (released, BY_HAND)):
        edge.balance(balancer, "web1", wanted=False, by=by)
        assert edge.out_by(balancer.layout) == {"web1": says}
    assert flag.stat().st_mode & 0o004  # nginx may see it


def test_a_server_is_taken_out_though_the_disk_of_the_balancer_is_full(tmp_path: Path) -> None:
    balancer, _ = make_host(tmp_path, roles=frozenset({"balancer"}), web_servers=("web1", "web2"))
    (balancer.layout.edge / ".out-web1.new").mkdir()  # so nothing is written there any more
    edge.balance(balancer, "web1", wanted=False, by=BY_HAND)
    assert edge.out_by(balancer.layout) == {"web1": {}}


def test_a_server_that_is_no_balancer_has_nothing_to_balance(host: Host) -> None:
    with pytest.raises(Failed, match="web1 is no balancer"):
        edge.balance(host, "web1", wanted=False, by=BY_HAND)
