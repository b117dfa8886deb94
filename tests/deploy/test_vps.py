"""`python -m deploy vps`: which server is asked for what, when, and what if one fails."""

import getpass
import socket
from io import StringIO
from pathlib import Path

import pytest

from deploy.__main__ import main
from tests.deploy.standin import COMMIT, HEALTHY, NEW, ONE, RELEASE, THREE, Servers, vps


def test_one_server_does_all_by_itself(servers: Servers, tmp_path: Path) -> None:
    assert vps(tmp_path, ONE, "release") == 0
    assert servers.asked() == ["one: resolve main", f"one: release {COMMIT}"]


TURNED = [
    "front: balance status",
    "front: balance out {0}",
    "{0}: turn " + NEW,
    "{0}: workers " + NEW,
    "front: balance in {0}",
]
SMOKED = ["web1: smoke " + NEW, "web2: smoke " + NEW]
# Once for whom a release has left out that was killed, once for whom a person has.
PREPARED = ["web1: resolve main", "front: balance status", "front: balance status"]


def turned(*names: str) -> list[str]:
    return [line.format(name) for name in names for line in TURNED]


def prepared(servers: Servers) -> list[str]:
    """The rest, after what is done on both at once."""
    asked = servers.asked()
    assert asked[:3] == PREPARED
    assert sorted(asked[3:5]) == [f"web1: prepare {COMMIT}", f"web2: prepare {COMMIT}"]
    return asked[5:]


def test_several_are_released_to_one_after_the_other(servers: Servers, tmp_path: Path) -> None:
    assert vps(tmp_path, THREE, "release") == 0
    asked = prepared(servers)
    assert asked[:-2] == [f"web1: migrate {NEW} --pending", *turned("web1", "web2"), *SMOKED]
    assert sorted(asked[-2:]) == [f"web1: settle {NEW}", f"web2: settle {NEW}"]


def test_the_database_is_saved_and_migrated_once_and_first(
    servers: Servers, tmp_path: Path
) -> None:
    servers.answer("web1", "migrate", NEW, "--pending", out={"pending": ["add_tags"]})
    assert vps(tmp_path, THREE, "release") == 0
    assert prepared(servers)[:5] == [
        f"web1: migrate {NEW} --pending",
        "front: backup --reason migrate",
        f"web1: migrate {NEW} --no-backup",
        "front: balance status",
        "front: balance out web1",
    ]


def back(name: str) -> list[str]:
    return [
        "front: balance status",
        f"front: balance out {name}",
        f"{name}: rollback {RELEASE}",
        f"front: balance in {name}",
    ]


# What fails, on which server; and who serves the new release by then.
FAILURES = [
    (("web2", "turn"), "the smoke test failed", ["web1"]),
    (("web2", "workers"), "the worker does not run", ["web2", "web1"]),
    (("web1", "workers"), "the worker does not run", ["web1"]),
    (("web2", "smoke"), "the job failed", ["web2", "web1"]),
    (("front", "balance", "in", "web2"), "the disk is full", ["web2", "web1"]),
]


@pytest.mark.parametrize(("verb", "why", "turned"), FAILURES)
def test_what_was_changed_goes_back_when_one_fails(
    servers: Servers,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    verb: tuple[str, ...],
    why: str,
    turned: list[str],
) -> None:
    """Also on the one that failed, if its web was turned already."""
    servers.answer(*verb, code=1, err=f"failed: {why}\n")
    for name in turned:
        servers.answer_after(f"{name}: turn", name, "status", out={**HEALTHY, "release": NEW})
    assert vps(tmp_path, THREE, "release") == 1
    asked = prepared(servers)
    assert asked[-2 - 4 * len(turned) : -2] == [line for name in turned for line in back(name)]
    assert sorted(asked[-2:]) == [f"web1: discard {NEW}", f"web2: discard {NEW}"]
    assert f"failed: {verb[0]}: {why}" in capsys.readouterr().err


def test_nothing_is_touched_when_one_cannot_prepare(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers.answer("web2", "prepare", code=1, err="failed: the disk is full\n")
    assert vps(tmp_path, THREE, "release") == 1
    assert not [line for line in servers.asked() if "turn" in line or "migrate" in line]
    assert "failed: web2: the disk is full" in capsys.readouterr().err


def test_a_canary_that_is_not_well_is_taken_back(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers.answer("web1", "status", out={**HEALTHY, "health": "degraded"})
    assert vps(tmp_path, THREE, "release", "--canary", "1m") == 1
    assert not [line for line in servers.asked() if line.startswith("web2: turn")]
    assert "failed: web1: is degraded with it" in capsys.readouterr().err


def test_a_canary_that_is_well_is_followed_by_the_others(servers: Servers, tmp_path: Path) -> None:
    assert vps(tmp_path, THREE, "release", "--canary", "1s") == 0
    asked = servers.asked(leave_out=("hold",))
    first, second = asked.index(f"web1: turn {NEW}"), asked.index(f"web2: turn {NEW}")
    assert "web1: status" in asked[first:second]


def test_while_a_server_is_out_nothing_is_released(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers.answer("front", "balance", "status", out={"out": ["web2"]})
    assert vps(tmp_path, THREE, "release") == 1
    assert servers.asked() == PREPARED
    said = capsys.readouterr().err
    assert "web2: out of the balancer" in said
    assert "`vps balance in web2`" in said


def test_several_go_back_one_after_the_other_to_what_the_first_had_before(
    servers: Servers, tmp_path: Path
) -> None:
    assert vps(tmp_path, THREE, "rollback") == 0
    before = HEALTHY["history"][0]
    assert servers.asked() == [
        "front: balance status",
        *(line.replace(RELEASE, before) for name in ("web1", "web2") for line in back(name)),
    ]


def test_a_rollback_leaves_out_who_cannot_be_reached(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers.lose("web1")
    assert vps(tmp_path, THREE, "rollback") == 0
    assert [line for line in servers.asked() if "web1" in line] == []
    assert f"web2: rollback {HEALTHY['history'][0]}" in servers.asked()
    assert "left out: web1: " in capsys.readouterr().out


def test_what_a_server_warns_of_is_passed_on_though_it_succeeds(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers.answer("web2", "turn", err="  not logged (the disk is full)\n")
    assert vps(tmp_path, THREE, "release") == 0
    assert "web2:   not logged (the disk is full)\n" in capsys.readouterr().err


def test_a_release_does_not(servers: Servers, tmp_path: Path) -> None:
    servers.lose("web1")
    assert vps(tmp_path, THREE, "release") == 1
    assert servers.asked() == ["web1: resolve main"]


def test_who_was_taken_out_by_hand_stays_out(servers: Servers, tmp_path: Path) -> None:
    servers.answer("front", "balance", "status", out={"out": ["web2"]})
    assert vps(tmp_path, THREE, "rollback") == 0
    assert [line for line in servers.asked() if line.endswith((" out web2", " in web2"))] == []


def test_the_only_web_is_not_taken_out(servers: Servers, tmp_path: Path) -> None:
    both = '["web", "worker"]'
    text = THREE.replace(both, '["web"]', 1).replace(both, '["worker"]')
    assert vps(tmp_path, text, "release") == 0
    assert f"web1: turn {NEW}" in servers.asked()
    assert f"web2: workers {NEW}" in servers.asked()
    assert [line for line in servers.asked() if "balance out" in line] == []


def test_what_only_looks_is_not_attended(servers: Servers, tmp_path: Path) -> None:
    """The program on the server knows no such option for it."""
    servers.answer("front", "backups", out="20261126T031000Z-nightly\n")
    assert vps(tmp_path, THREE, "backups") == 0
    assert servers.asked() == ["front: backups"]


CHANGES = [
    *(["backup"], ["restore", "latest", "--yes"], ["restore-test"], ["maintenance", "on"]),
    *(["balance", "out", "web1"], ["lock", "on", "moving"], ["lock", "off"]),
    *(["env", "unset", "A"], ["rollback"], ["release"]),
]


@pytest.mark.parametrize("words", CHANGES, ids=" ".join)
def test_a_server_is_told_who_changes_something(
    servers: Servers, tmp_path: Path, words: list[str]
) -> None:
    for verb in ("restore", "restore-test", "maintenance", "lock"):
        servers.answer("*", verb, out={"maintenance": False})
    assert vps(tmp_path, THREE, *words) == 0
    changes = [words for _, words, _ in servers.log() if not LOOKS.intersection(words)]
    who = [words[words.index("--who") + 1] for words in changes]
    assert who
    assert {each.removeprefix("a restore by ") for each in who} == {ME}


LOOKS = {"status", "backups", "resolve", "hold", "--pending"}
ME = f"{getpass.getuser()}@{socket.gethostname()}"


def test_values_are_in_no_process_list(servers: Servers, tmp_path: Path) -> None:
    assert vps(tmp_path, THREE, "env", "set", "SENTRY_DSN=secret", "LOG_LEVEL=INFO") == 0
    assert not [line for line in servers.asked() if "secret" in line]
    assert servers.given("env") == dict.fromkeys(
        ("web1", "web2"), "SENTRY_DSN=secret\nLOG_LEVEL=INFO\n"
    )


@pytest.mark.parametrize("pair", ["lower=1", "A-B=1", "=1", "A=one\ntwo"])
def test_a_variable_that_is_none_is_refused(servers: Servers, tmp_path: Path, pair: str) -> None:
    assert vps(tmp_path, ONE, "env", "set", pair) == 1
    assert servers.asked() == []


def test_a_value_that_was_not_given_is_not_an_empty_one(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(""))
    assert vps(tmp_path, ONE, "env", "set", "LOG_LEVEL") == 1
    assert servers.asked() == []


def test_variables_that_differ_are_said_with_their_server(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers.answer("web1", "env", "list", out={"A": "1", "B": "2"})
    servers.answer("web2", "env", "list", out={"A": "1"})
    assert vps(tmp_path, THREE, "env", "list") == 0
    assert capsys.readouterr().out.splitlines() == [
        "A=1",
        "B=2    # on web1",
        "B=(not set)    # on web2",
    ]


USAGE = [
    (["release", "--canary", "soon"], 2),
    (["frobnicate"], 2),
    (["env"], 2),
    (["run"], 1),
    (["lock", "on"], 1),
    (["run", "--on", "two", "true"], 1),
    (["balance", "out", "one"], 1),
    (["release", "--canary"], 1),
    (["restore", "latest"], 1),
]


@pytest.mark.parametrize(("words", "code"), USAGE)
def test_what_makes_no_sense_is_refused(
    servers: Servers, tmp_path: Path, words: list[str], code: int
) -> None:
    try:
        ended = vps(tmp_path, ONE, *words)
    except SystemExit as stopped:
        ended = int(stopped.code or 0)
    assert ended == code
    assert [line for line in servers.asked() if "resolve" not in line] == []


def test_a_commit_that_is_none_is_refused_before_anything_is_asked(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = ONE.replace('repository = "/srv/code.git"\n', "")
    assert vps(tmp_path, text, "release", "no-such-branch") == 1
    assert "no-such-branch is no commit of this clone" in capsys.readouterr().err
    assert servers.asked(leave_out=()) == []


def test_without_a_file_of_servers_it_is_said_how_to_make_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["vps", "--servers", str(tmp_path / "none.toml"), "status"]) == 1
    assert "none.toml is not there: cp deploy/servers.example.toml" in capsys.readouterr().err
