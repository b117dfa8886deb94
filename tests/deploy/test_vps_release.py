"""The order of a release on a server, and what is left of one that fails: each line is what is run,
with the colour that serves at that time before it."""

import json
from pathlib import Path

import pytest

from deploy.shell import Failed
from deploy.vps.host import edge, layout, releases, turn, variables
from deploy.vps.host.layout import Host
from deploy.vps.host.release import look, release
from deploy.vps.host.rollback import rollback
from deploy.vps.host.units import as_root, as_service
from tests.deploy.vps_host import Played, make_host, make_served, steps, unpacked

WAITS = 20  # until the workers have run for a while


@pytest.fixture
def server(tmp_path: Path) -> tuple[Host, Played]:
    return make_host(tmp_path)


@pytest.fixture
def served(tmp_path: Path) -> tuple[Host, Played, Path]:
    return make_served(tmp_path)


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nginx has promised holds for as long as the steps of a release take here."""
    monkeypatch.setattr(turn, "PROMISED", 600)


def test_the_first_release(server: tuple[Host, Played]) -> None:
    host, played = server
    played.pending = "0001\n0002\n"
    folder = unpacked(host, 1)
    release(host, folder, "alice")
    (packages,) = host.layout.environments.iterdir()
    (dump,) = host.layout.backups.glob("*.dump")
    assert steps(played) == [
        f"blue: venv environments/{packages.name}",
        "blue: pip install --no-deps --require-hashes --only-binary :all: --no-compile"
        " --disable-pip-version-check --no-input --progress-bar off --quiet"
        f" -r releases/{folder.name}/requirements.txt",
        "blue: service settings",
        "blue: service migrate --pending",
        "blue: pg_dump --no-password --format=custom --no-owner --no-privileges"
        f" --snapshot=00000003-0000001B-1 --file={dump.with_name(f'.{dump.stem}.part')}",
        "blue: root migrate blue",
        "blue: root start blue",
        "blue: smoke http://127.0.0.1:8001 --web-only --forwarded",
        "blue: smoke https://api.example.com --at 127.0.0.1 --insecure --web-only",
        "blue: root workers restart",
        "blue: smoke https://api.example.com --at 127.0.0.1 --insecure --token-file /dev/stdin",
    ]
    assert edge.serving(host) == folder
    assert releases.history(host.layout) == [folder.name]


def test_the_next_one_takes_the_other_colour_and_the_same_packages(
    served: tuple[Host, Played, Path],
) -> None:
    host, played, first = served
    folder = unpacked(host, 2)
    release(host, folder, "alice")
    assert steps(played) == [
        "blue: service settings",
        "blue: service migrate --pending",
        "blue: root start green",
        "blue: smoke http://127.0.0.1:8002 --web-only --forwarded",
        "green: smoke https://api.example.com --at 127.0.0.1 --insecure --web-only",
        "green: root workers restart",
        "green: smoke https://api.example.com --at 127.0.0.1 --insecure --token-file /dev/stdin",
        "green: root stop blue",
    ]
    # For requests that nginx has promised to blue.
    assert played.ran[-2:] == ["green: wait", "green: root stop blue"]
    assert edge.serving(host) == layout.target(host.layout.workers) == folder
    assert releases.history(host.layout) == [first.name, folder.name]
    assert len(list(host.layout.environments.iterdir())) == 1


def test_a_look_at_the_schema_that_was_killed_says_so(served: tuple[Host, Played, Path]) -> None:
    """As by a server that is out of memory: nothing was said."""
    host, played, first = served
    played.failing = {"--pending": ""}
    with pytest.raises(Failed, match="migrate --pending ended with 1"):
        release(host, unpacked(host, 2), "alice")
    assert edge.serving(host) == first


@pytest.mark.parametrize(
    ("failing", "says"),
    [
        ("compileall", "ended with 1"),
        ("service settings", "^no JWT_SECRET"),
        ("--pending", "^no JWT_SECRET"),
        ("root start green", "green does not start. It said last:\nthe last words"),
        ("smoke http://127.0.0.1:8002", "the smoke test of http://127.0.0.1:8002 failed: no JWT"),
        ("smoke https", "the smoke test of https://api.example.com failed"),
        ("--token-file", "the smoke test of https://api.example.com failed"),
        ("workers restart", "ended with 1"),
    ],
)
def test_whatever_fails_the_old_one_serves_and_the_new_one_is_put_aside(
    served: tuple[Host, Played, Path], failing: str, says: str
) -> None:
    host, played, first = served
    folder = unpacked(host, 2)
    played.failing = {failing: "no JWT_SECRET"}
    with pytest.raises(Failed, match=says) as failure:
        release(host, folder, "alice")
    assert f"it is in {host.layout.failed}" in str(failure.value)
    assert f"{first.name} serves, as blue." in str(failure.value)
    assert edge.serving(host) == first
    assert set(played.started) >= {"slipway-web@blue.service"}
    assert "slipway-web@green.service" not in played.started
    assert layout.target(host.layout.workers) == first
    assert not folder.exists()
    assert host.layout.env_current.resolve() == (first / ".env").resolve()
    played.failing = {}
    release(host, third := unpacked(host, 3), "alice")  # nothing has to be repaired
    assert edge.serving(host) == third


def test_after_the_switch_a_failure_switches_back_before_the_colour_is_stopped(
    served: tuple[Host, Played, Path],
) -> None:
    host, played, _ = served
    played.failing = {"--token-file": "no worker"}
    with pytest.raises(Failed):
        release(host, unpacked(host, 2), "alice")
    end = played.ran[played.ran.index("green: root workers restart") + WAITS + 1 :]
    assert end == [
        "green: smoke https://api.example.com --at 127.0.0.1 --insecure --token-file /dev/stdin",
        "blue: wait",  # for requests that nginx has promised to green
        "blue: root stop green",
        "blue: root workers restart",
        "blue: root stop green",  # before its folder is taken away
    ]


def test_a_rollback_switches_after_the_start_and_goes_back_no_further_next_time(
    served: tuple[Host, Played, Path],
) -> None:
    host, played, first = served
    release(host, unpacked(host, 2), "alice")
    played.ran.clear()
    rollback(host, None, "alice")
    assert steps(played) == [
        "green: root start blue",
        "blue: smoke https://api.example.com --at 127.0.0.1 --insecure --web-only",
        "blue: root workers restart",
        "blue: root stop green",
    ]
    assert edge.serving(host) == first
    with pytest.raises(Failed, match="there is nothing to go back to"):
        rollback(host, None, "alice")


def test_one_that_was_killed_after_the_switch_is_finished_by_the_next(
    served: tuple[Host, Played, Path],
) -> None:
    host, played, first = served
    second = unpacked(host, 2)
    layout.link(second / ".venv", (first / ".venv").resolve())
    (host.layout.env / "2.env").write_text("LOG_LEVEL=DEBUG\n")
    layout.link(second / ".env", host.layout.env / "2.env")
    turn.turn(host, second)  # and killed
    assert host.layout.env_current.readlink() == Path("2.env")
    assert layout.target(host.layout.workers) == first
    played.ran.clear()
    look(host)
    assert steps(played) == ["green: root workers restart", "green: root stop blue"]
    assert layout.target(host.layout.workers) == second
    assert releases.history(host.layout) == [first.name, second.name]


@pytest.mark.parametrize("unit", ["slipway-web@green.service", "slipway-web@green.socket"])
def test_what_was_left_running_is_stopped_before_it_gets_another_release(
    served: tuple[Host, Played, Path], unit: str
) -> None:
    host, played, _ = served
    played.started[unit] = 1
    turn.assign(host, "green", unpacked(host, 2))
    assert steps(played) == ["blue: root stop green"]


def test_a_first_release_that_was_killed_before_it_ran_serves_nothing(
    server: tuple[Host, Played],
) -> None:
    host, _ = server
    turn.assign(host, "blue", unpacked(host, 1))
    assert edge.serving(host) is None
    assert edge.idle(host) == "blue"


def test_each_step_again_does_nothing(served: tuple[Host, Played, Path]) -> None:
    host, played, first = served
    assert turn.turn(host, first) is None
    look(host)
    assert steps(played) == []


def test_a_server_without_web_replaces_its_workers_alone(tmp_path: Path) -> None:
    host, played = make_host(tmp_path, roles=frozenset({"worker"}))
    release(host, unpacked(host, 1), "alice")
    assert steps(played)[-1] == "blue: root workers restart"
    assert not any("smoke" in each or "start blue" in each for each in played.ran)
    variables.change(host, {"LOG_LEVEL": "DEBUG"}, (), "alice")
    assert "LOG_LEVEL=DEBUG" in host.layout.env_current.read_text()


def test_all_is_in_the_log(served: tuple[Host, Played, Path]) -> None:
    host, played, _ = served
    played.failing = {"root start": "port taken"}
    with pytest.raises(Failed):
        release(host, unpacked(host, 2), "bob")
    lines = [json.loads(line) for line in host.layout.log.read_text().splitlines()]
    assert [(each["who"], each["what"], each["result"]) for each in lines] == [
        ("alice", "release", "begun"),
        ("alice", "release", "ok"),
        ("bob", "release", "begun"),
        ("bob", "release", "green does not start. It said last:"),
    ]


def test_a_rollback_to_what_serves_may_be_called_again(served: tuple[Host, Played, Path]) -> None:
    host, played, first = served
    release(host, unpacked(host, 2), "alice")
    rollback(host, first.name, "alice")
    played.ran.clear()
    rollback(host, first.name, "alice")
    assert steps(played) == []
    layout.link(host.layout.workers, unpacked(host, 3))  # it was broken off before the workers
    rollback(host, first.name, "alice")
    assert steps(played) == ["blue: root workers restart"]


def test_how_the_service_and_root_are_called(tmp_path: Path) -> None:
    host, _ = make_host(tmp_path)
    folder = unpacked(host, 1)
    assert as_root("start", "blue") == [
        "sudo",
        "-n",
        "/usr/local/sbin/slipway-root",
        "start",
        "blue",
    ]
    assert " ".join(as_service(folder, "id")) == (
        f"sudo -n -u slipway env --ignore-environment --chdir={folder}"
        f" PATH={folder}/.venv/bin:/usr/bin:/bin HOME=/nonexistent LANG=C.UTF-8"
        f" PYTHONDONTWRITEBYTECODE=1 COMMIT_SHA={1:012x}{'0' * 28} id"
    )


def test_a_secret_is_in_no_command(server: tuple[Host, Played]) -> None:
    host, played = server
    played.pending = "0001"
    release(host, unpacked(host, 1), "alice")
    assert not any("hunter" in spelt for spelt in played.full)
    assert any(each.get("PGPASSWORD") == "hunter2" for each in played.environments)
