"""A release to several servers that was killed, or told to end: who is out of the balancer then,
and what the next one makes of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.shell import kept_open
from deploy.vps.host import edge, lock, switches
from deploy.vps.host.cli import parser
from deploy.vps.host.layout import Host
from service.environment import ROOT
from tests.deploy.standin import HEALTHY, NEW, RELEASE, THREE, Servers, vps
from tests.deploy.vps_host import make_host

TOLD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BEFORE = HEALTHY["history"][0]
KILLED = {"release": True, "who": "bob", "why": "release of HEAD", "since": "12:00"}
BY_HAND = {"release": False, "who": "bob", "why": "taken out", "since": "12:00"}
OTHER = {**HEALTHY, "release": NEW, "commit": "f" * 40}


def out(servers: Servers, name: str, by: dict[str, Any]) -> None:
    """Until it gets requests again."""
    said = {"out": [name], "by": {name: by}}
    servers.answer("front", "balance", "status", out=said)
    servers.answer_after("front: balance in", "front", "balance", "status", out={"out": []})


def who_said(servers: Servers, *parts: str) -> list[str]:
    return [line for line in servers.asked() if any(part in line for part in parts)]


RUNS = {
    "release": ["release"],
    "env set": ["env", "set", "LOG_LEVEL=INFO"],
    "rollback": ["rollback"],
}


@pytest.mark.parametrize("run", RUNS)
def test_whom_a_killed_release_left_out_gets_requests_before_anybody_is_touched(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str], run: str
) -> None:
    out(servers, "web1", KILLED)
    assert vps(tmp_path, THREE, *RUNS[run]) == 0
    first, *rest = who_said(servers, "balance in", "balance out", "turn", "env", "rollback")
    assert first == "front: balance in web1"
    assert rest[0] == "front: balance out web1"
    said = capsys.readouterr().out
    assert (
        "web1: gets requests again, without which release of HEAD by bob at 12:00 left it" in said
    )


@pytest.mark.parametrize("wrong", [{"health": "does not answer"}, OTHER])
def test_one_that_is_not_well_or_serves_something_else_gets_them_after_its_release(
    servers: Servers, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    out(servers, "web1", KILLED)
    servers.answer("web1", "status", out={**HEALTHY, **wrong})
    assert vps(tmp_path, THREE, "release") == 0
    lines = who_said(servers, "balance in", "balance out", "turn")
    assert lines[:2] == [f"web1: turn {NEW}", "front: balance in web1"]


def test_one_that_a_killed_release_left_with_its_commit_goes_back_and_then_gets_them(
    servers: Servers, tmp_path: Path
) -> None:
    out(servers, "web1", KILLED)
    servers.answer("web1", "status", out={**OTHER, "history": HEALTHY["history"]})
    assert vps(tmp_path, THREE, "rollback") == 0
    lines = who_said(servers, "balance in", "balance out", "rollback")
    assert lines[:2] == [f"web1: rollback {RELEASE}", "front: balance in web1"]


def test_one_that_serves_another_commit_does_not_come_in_by_variables(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one that could not go back with the others."""
    out(servers, "web1", KILLED)
    servers.answer("web1", "status", out=OTHER)
    assert vps(tmp_path, THREE, "env", "set", "LOG_LEVEL=INFO") == 1
    assert who_said(servers, "balance in", "balance out", "env") == []
    assert "another commit than the others: `vps release` brings it in" in capsys.readouterr().err


def test_one_whose_release_fails_stays_out(servers: Servers, tmp_path: Path) -> None:
    out(servers, "web1", KILLED)
    servers.answer("web1", "status", out={**HEALTHY, "health": "does not answer"})
    servers.answer_after("web1: turn", "web1", "status", out={**HEALTHY, "release": NEW})
    servers.answer("web1", "workers", code=1, err="failed: the worker does not run\n")
    assert vps(tmp_path, THREE, "release") == 1
    assert f"web1: rollback {RELEASE}" in servers.asked()
    assert who_said(servers, "balance in", "balance out") == []


@pytest.mark.parametrize("run", ["release", "env set"])
def test_whom_a_person_took_out_stays_out_and_the_person_is_named(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str], run: str
) -> None:
    out(servers, "web2", BY_HAND)
    assert vps(tmp_path, THREE, *RUNS[run]) == 1
    assert who_said(servers, "balance in", "turn", "env", "prepare") == []
    said = capsys.readouterr().err
    assert "web2: out of the balancer, taken out by bob at 12:00" in said
    assert "`vps balance in web2`" in said


def test_nor_does_a_rollback_bring_them_in(servers: Servers, tmp_path: Path) -> None:
    out(servers, "web2", BY_HAND)
    assert vps(tmp_path, THREE, "rollback") == 0
    assert f"web2: rollback {BEFORE}" in servers.asked()
    assert "front: balance in web2" not in servers.asked()


def test_status_says_whose_doing_it_is(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers.answer("front", "status", out={**HEALTHY, "out": ["web1"], "out_by": {"web1": KILLED}})
    assert vps(tmp_path, THREE, "status") == 1
    said = "gives no requests to web1 (release of HEAD by bob at 12:00): vps balance in"
    assert said in capsys.readouterr().out


@pytest.fixture
def balancer(tmp_path: Path) -> Host:
    webs = ("web1", "web2")
    return make_host(tmp_path, roles=frozenset({"balancer"}), web_servers=webs, servers=3)[0]


def called(balancer: Host, *words: str) -> tuple[Any, ...]:
    """Whose doing the flag of web1 is, after a call; whose process has not ended, as others do."""
    before, signals = set(kept_open), {each: signal.getsignal(each) for each in TOLD}
    switches.balance_requests(balancer, parser().parse_args(["balance", *words, "--who", "bob"]))
    for descriptor in kept_open - before:
        kept_open.discard(descriptor)
        os.close(descriptor)
    for number, handler in signals.items():
        signal.signal(number, handler)
    by = edge.out_by(balancer.layout).get("web1", {})
    return by.get("release"), by.get("why"), by.get("who")


def test_who_has_the_servers_is_a_release_and_anybody_else_a_person(balancer: Host) -> None:
    assert called(balancer, "out", "web1") == (False, "taken out", "bob")
    assert called(balancer, "in", "web1") == (None, None, None)
    with lock.held(balancer.layout, "bob", "release of v2") as token:
        found = called(balancer, "out", "web1", "--token", token)
    assert found == (True, "release of v2", "bob")


@pytest.mark.parametrize("number", TOLD[1:])
def test_who_is_told_to_end_gives_requests_again_and_says_where_to_look(
    servers: Servers, tmp_path: Path, number: signal.Signals
) -> None:
    """A job of CI that was cancelled, or a terminal that was closed; and told twice."""
    program = tmp_path / "ssh"
    told = (
        f'if verb[0] == "turn":\n    import os, time\n'
        f"    os.kill(os.getppid(), {int(number)}); time.sleep(0.5)\n"
        f"    os.kill(os.getppid(), {int(number)}); time.sleep(0.5)\n"
    )
    begin = "answers = json.loads"
    program.write_text(program.read_text().replace(begin, told + begin, 1))
    (file := tmp_path / "servers.toml").write_text(THREE)
    command = [sys.executable, "-m", "deploy", "vps", "--servers", str(file), "release"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert ended.returncode == 130
    assert "front: balance in web1" in servers.asked()
    assert servers.asked()[-1] == f"web2: discard {NEW}"
    assert ended.stderr.splitlines()[-1] == "stopped; `vps status` says what serves now"
