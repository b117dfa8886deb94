"""Several servers in trouble: who gets requests, and who goes back, whatever is down or cut off."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from shlex import join
from typing import Any

import pytest

from deploy.vps.host.gate import allowed
from deploy.vps.host.layout import PROGRAM, Layout
from service.environment import ROOT
from tests.deploy.standin import HEALTHY, NEW, ONE, RELEASE, THREE, Servers, vps

BEFORE = HEALTHY["history"][0]
SERVES = {**HEALTHY, "release": NEW}
NEVER: dict[str, Any] = {**HEALTHY, "release": None, "health": None, "history": []}
ALONE = THREE.replace('["web", "worker"]', '["web"]', 1).replace('["web", "worker"]', '["worker"]')


def after(servers: Servers, line: str) -> list[str]:
    asked = servers.asked(leave_out=("status",))
    return asked[asked.index(line) + 1 :]


def test_a_balancer_that_is_lost_keeps_nobody_from_going_back(
    servers: Servers, tmp_path: Path
) -> None:
    servers.lose("front")
    assert vps(tmp_path, THREE, "rollback") == 0
    assert {f"web1: rollback {BEFORE}", f"web2: rollback {BEFORE}"} <= set(servers.asked())


def test_the_last_server_that_answers_is_not_taken_out(servers: Servers, tmp_path: Path) -> None:
    servers.lose("web1")
    assert vps(tmp_path, THREE, "rollback") == 0
    assert f"web2: rollback {BEFORE}" in servers.asked()
    assert "front: balance out web2" not in servers.asked()


def test_nor_when_the_other_dies_during_a_release(servers: Servers, tmp_path: Path) -> None:
    gone = "Connection timed out\n"
    servers.answer("web2", "turn", code=255, err=gone)
    servers.answer_after("web2: turn", "web2", "status", code=255, err=gone)
    servers.answer_after("web1: turn", "web1", "status", out=SERVES)
    assert vps(tmp_path, THREE, "release") == 1
    asked = after(servers, f"web2: turn {NEW}")
    assert f"web1: rollback {RELEASE}" in asked
    assert "front: balance out web1" not in asked


def test_a_rollback_after_a_release_that_was_killed(servers: Servers, tmp_path: Path) -> None:
    """It left web1 out, so web2 is the last one."""
    servers.answer("front", "balance", "status", out={"out": ["web1"]})
    servers.answer("front", "balance", "out", code=1, err="failed: web2 is the last one\n")
    assert vps(tmp_path, THREE, "rollback") == 0
    assert f"web2: rollback {BEFORE}" in servers.asked()


def test_who_may_be_out_is_brought_in(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer to `balance out` is lost; that `balance in` fails too does not hide it."""
    lost = "Connection reset by peer\n"
    servers.answer("front", "balance", "out", "web1", code=255, err=lost)
    servers.answer("front", "balance", "in", "web1", code=1, err="failed: the disk is full\n")
    assert vps(tmp_path, THREE, "release") == 1
    assert "front: balance in web1" in servers.asked()
    said = capsys.readouterr()
    assert "also failed: front: the disk is full" in said.out
    assert "Connection reset by peer" in said.err


def test_who_was_cut_off_for_a_while_takes_the_locks_anew_and_goes_back(
    servers: Servers, tmp_path: Path
) -> None:
    """Half a minute without a network ends the holds, and every call with their tokens fails."""
    for token, server in (("token-1", "front"), ("token-2", "web1"), ("token-3", "web2")):
        ended = f"failed: the hold {token} has ended: whoever had it is gone\n"
        for words in (["balance", "in", "web2"], ["rollback", RELEASE], ["discard", NEW]):
            servers.answer_after("web2: turn", server, *words, "--token", token, code=1, err=ended)
    servers.answer_after("web1: turn", "web1", "status", out=SERVES)
    servers.answer("web2", "turn", code=255, err="Connection timed out\n")
    assert vps(tmp_path, THREE, "release") == 1
    asked = after(servers, f"web2: turn {NEW}")
    assert [line for line in asked if "hold" in line or "rollback" in line] == [
        "front: hold release of HEAD",
        f"web1: rollback {RELEASE}",
        "web1: hold release of HEAD",
        f"web1: rollback {RELEASE}",
        "web2: hold release of HEAD",
    ]
    assert asked.count("front: balance in web2") == 2


def test_a_release_whose_lock_has_ended_does_not_go_on(servers: Servers, tmp_path: Path) -> None:
    """Somebody else may have released there since."""
    ended = "failed: the hold token-3 has ended: whoever had it is gone\n"
    servers.answer("web2", "turn", NEW, "--token", "token-3", code=1, err=ended)
    assert vps(tmp_path, THREE, "release") == 1
    assert servers.asked().count(f"web2: turn {NEW}") == 1


TOLD = [int(signal.SIGINT), int(signal.SIGTERM), int(signal.SIGHUP), 0]  # 0: the control


@pytest.mark.parametrize("number", TOLD)
def test_to_be_told_to_end_while_it_goes_back_does_not_leave_it_half_way(
    servers: Servers, tmp_path: Path, number: int
) -> None:
    program = tmp_path / "ssh"
    interrupt = (
        'if name == "web2" and verb[0] == "rollback":\n'
        f"    import os, time; os.kill(os.getppid(), {number}); time.sleep(0.5)\n"
    )
    begin = "answers = json.loads"
    program.write_text(program.read_text().replace(begin, interrupt + begin, 1))
    servers.answer("web2", "workers", code=1, err="failed: the worker does not run\n")
    for name in ("web1", "web2"):
        servers.answer_after(f"{name}: turn", name, "status", out=SERVES)
    (file := tmp_path / "servers.toml").write_text(THREE)
    command = [sys.executable, "-m", "deploy", "vps", "--servers", str(file), "release"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert f"web1: rollback {RELEASE}" in servers.asked()
    assert servers.asked()[-1] == f"web2: discard {NEW}"
    assert "failed: web2: the worker does not run" in ended.stderr
    assert ("… stops when this has ended" in ended.stderr) == bool(number)


def test_ci_may_ask_for_all_that_a_release_to_several_servers_needs(
    servers: Servers, tmp_path: Path
) -> None:
    servers.answer("web1", "migrate", NEW, "--pending", out={"pending": ["add_tags"]})
    servers.answer("web2", "smoke", code=1, err="failed: the job failed\n")
    assert vps(tmp_path, THREE, "release") == 1
    said = servers.log()
    assert {"hold", "backup", "discard"} <= {words[0] for _, words, _ in said}
    for _, words, _ in said:
        assert allowed(join([PROGRAM, *words]), Layout()) == [PROGRAM, *words]


def test_a_new_server_gets_requests_after_its_first_release(
    servers: Servers, tmp_path: Path
) -> None:
    """Provisioning takes it out of the balancer, which stops no release."""
    servers.answer("front", "balance", "status", out={"out": ["web2"]})
    servers.answer("web2", "status", out=NEVER)
    servers.answer_after("web2: turn", "web2", "status", out={**NEVER, "release": NEW})
    assert vps(tmp_path, THREE, "release") == 0
    lines = [line for line in servers.asked() if "balance in" in line or "turn" in line]
    assert lines == [f"web1: turn {NEW}", f"web2: turn {NEW}", "front: balance in web2"]


def test_the_only_one_behind_a_balancer_does_too(servers: Servers, tmp_path: Path) -> None:
    servers.answer("front", "balance", "status", out={"out": ["web1"]})
    servers.answer("web1", "status", out=NEVER)
    servers.answer_after("web1: turn", "web1", "status", out={**NEVER, "release": NEW})
    assert vps(tmp_path, ALONE, "release") == 0
    assert "front: balance in web1" in servers.asked()


def test_variables_alone_bring_no_new_server_in(servers: Servers, tmp_path: Path) -> None:
    servers.answer("front", "balance", "status", out={"out": ["web2"]})
    servers.answer("web2", "status", out=NEVER)
    assert vps(tmp_path, THREE, "env", "set", "LOG_LEVEL=INFO") == 0
    assert "front: balance in web2" not in servers.asked()


def test_a_new_server_does_not_get_requests_with_a_release_that_failed(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers.answer("web2", "status", out=NEVER)
    servers.answer_after("web2: turn", "web2", "status", out={**NEVER, "release": NEW})
    servers.answer_after("web1: turn", "web1", "status", out=SERVES)
    servers.answer("web1", "smoke", code=1, err="failed: the job failed\n")
    assert vps(tmp_path, THREE, "release") == 1
    asked = after(servers, f"web1: smoke {NEW}")
    assert f"web1: rollback {RELEASE}" in asked
    assert "front: balance out web2" in asked
    assert "web2: goes on with " + NEW in capsys.readouterr().out


@pytest.mark.parametrize("lacking", ["web1", "web2"])
def test_who_lacks_a_release_does_not_keep_the_others_from_going_back_to_it(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str], lacking: str
) -> None:
    """It was replaced by a new machine since."""
    servers.answer(lacking, "status", out={**HEALTHY, "history": [RELEASE]})
    assert vps(tmp_path, THREE, "rollback") == 0
    (other,) = {"web1", "web2"} - {lacking}
    rolled = [line for line in servers.asked() if "rollback" in line]
    assert rolled == [f"{other}: rollback {BEFORE}"]
    assert servers.asked()[-1] == f"front: balance out {lacking}"
    said = f"{lacking}: goes on with {RELEASE}, since it does not have {BEFORE}, and gets no"
    assert said in capsys.readouterr().out


def test_who_dies_meanwhile_does_not_either(servers: Servers, tmp_path: Path) -> None:
    servers.answer("web1", "status", code=255, err="Connection timed out\n")
    assert vps(tmp_path, THREE, "rollback") == 0
    assert f"web2: rollback {BEFORE}" in servers.asked()


def test_what_was_prepared_does_not_stay_when_one_cannot_prepare(
    servers: Servers, tmp_path: Path
) -> None:
    servers.answer("web2", "prepare", code=1, err="failed: the disk is full\n")
    assert vps(tmp_path, THREE, "release") == 1
    assert [line.partition(": ")[0] for line in servers.asked() if "discard" in line] == [
        "web1",
        "web2",
    ]


def test_a_release_whose_last_step_fails_says_that_it_serves(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers.answer("web2", "settle", code=1, err="failed: the disk is full\n")
    assert vps(tmp_path, THREE, "release") == 1
    said = capsys.readouterr().err
    assert f"failed: web2: the disk is full\n{NEW} serves on web1, web2 all the same" in said


def test_a_host_key_that_changed_is_said_in_words_by_a_release_from_the_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "ssh"
    program.write_text(
        "#!/bin/sh\necho '@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @' >&2\n"
        "echo 'Host key verification failed.' >&2\nexit 255\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert vps(tmp_path, ONE.replace('repository = "/srv/code.git"\n', ""), "release") == 1
    assert "ssh-keygen -R one" in capsys.readouterr().err
