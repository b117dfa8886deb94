"""What is turned on and off on a server: who did it, and where that is written down."""

import os
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import history
from deploy.shell import kept_open
from deploy.vps.host import edge, lock, switches
from deploy.vps.host.layout import Host
from tests.deploy.vps_host import make_host


@pytest.fixture
def host(tmp_path: Path, signals: None) -> Iterator[Host]:
    """Whoever changes something has the lock until the process ends: here, until the test does."""
    before = set(kept_open)
    yield make_host(tmp_path, roles=frozenset({"balancer"}), web_servers=("web1", "web2"))[0]
    end_locks(before)


def end_locks(before: set[int]) -> None:
    for descriptor in kept_open - before:
        kept_open.discard(descriptor)
        os.close(descriptor)


def turn(host: Host, verb: str, what: str, **more: object) -> None:
    said = Namespace(verb=verb, what=what, who="alice@laptop", token=None, attended=False, **more)
    before = set(kept_open)
    {
        "maintenance": switches.maintain,
        "balance": switches.balance_requests,
        "lock": switches.lock_releases,
    }[verb](host, said)
    end_locks(before)


def logged(host: Host) -> list[tuple[str, str, str]]:
    text = host.layout.log.read_text() if host.layout.log.exists() else ""
    return [(one["who"], one["what"], one["result"]) for one in history.entries(text)]


def test_each_switch_is_logged_with_who_turned_it(host: Host) -> None:
    turn(host, "maintenance", "on")
    turn(host, "maintenance", "off")
    turn(host, "balance", "out", server="web1")
    turn(host, "lock", "on", why=["moving", "house"])
    turn(host, "lock", "off", why=[])
    assert logged(host) == [
        ("alice@laptop", "maintenance on", "ok"),
        ("alice@laptop", "maintenance off", "ok"),
        ("alice@laptop", "balance out web1", "ok"),
        ("alice@laptop", "lock on: moving house", "ok"),
        ("alice@laptop", "lock off", "ok"),
    ]


def test_who_only_looks_is_not_logged(host: Host) -> None:
    turn(host, "maintenance", "status")
    turn(host, "balance", "status", server=None)
    turn(host, "lock", "status", why=[])
    assert logged(host) == []


def test_a_lock_has_its_reason(host: Host) -> None:
    turn(host, "lock", "on", why=["moving", "house"])
    found = lock.locked(host.layout)
    assert found is not None and (found["who"], found["why"]) == ("alice@laptop", "moving house")


def test_it_is_known_who_has_closed_the_site(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    turn(host, "maintenance", "on")
    assert edge.closed_by(host.layout) == "alice@laptop"
    turn(host, "maintenance", "off")
    assert edge.closed_by(host.layout) is None
    said = capsys.readouterr().out.splitlines()
    assert said == ["maintenance is on, by alice@laptop", "maintenance is off"]


def test_a_site_is_closed_on_a_full_disk_too(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)  # of what is written, before it is
    edge.close(host.layout, "alice@laptop")
    assert edge.closed_by(host.layout) == ""
