"""The variables of releases: which one has which, and with which the next one begins."""

import json
from pathlib import Path

import pytest

from deploy.shell import Failed
from deploy.vps.host import edge, layout, progress, releases, turn, variables
from deploy.vps.host.layout import Host
from deploy.vps.host.release import prepare, release
from deploy.vps.host.rollback import rollback
from tests.deploy.vps_host import ENV, WORKERS, Played, make_host, make_served, steps, unpacked


@pytest.fixture
def served(tmp_path: Path) -> tuple[Host, Played, Path]:
    return make_served(tmp_path)


def test_a_rollback_goes_back_to_the_variables_too(served: tuple[Host, Played, Path]) -> None:
    host, _, first = served
    before = host.layout.env_current.resolve()
    variables.change(host, {"LOG_LEVEL": "DEBUG"}, (), "alice")
    assert "LOG_LEVEL=DEBUG" in host.layout.env_current.read_text()
    serves = edge.serving(host)
    assert serves is not None
    assert releases.commit(serves) == releases.commit(first)
    rollback(host, None, "alice")
    assert host.layout.env_current.resolve() == before


def test_variables_that_provision_wrote_are_those_of_the_next_release(
    served: tuple[Host, Played, Path],
) -> None:
    host, _, _ = served
    (host.layout.env / "2.env").write_text("LOG_LEVEL=DEBUG\n")
    layout.link(host.layout.env_current, "2.env")
    release(host, second := unpacked(host, 2), "alice")
    assert (second / ".env").read_text() == "LOG_LEVEL=DEBUG\n"
    host.layout.env_current.unlink()  # by whom ever
    release(host, third := unpacked(host, 3), "alice")
    assert (third / ".env").read_text() == "LOG_LEVEL=DEBUG\n"


def test_variables_that_provision_wrote_meanwhile_stay_for_the_next_release(
    served: tuple[Host, Played, Path],
) -> None:
    host, _, _ = served
    second, third = unpacked(host, 2), unpacked(host, 3)
    prepare(host, second)
    (host.layout.env / "2.env").write_text(f"{ENV}NEW=1\n")
    layout.link(host.layout.env_current, "2.env")
    turned = turn.turn(host, second)
    assert turned is not None
    assert host.layout.env_current.readlink() == Path("2.env")
    turn.back(host, turned)
    assert host.layout.env_current.readlink() == Path("2.env")
    release(host, third, "alice")
    assert (third / ".env").read_text() == f"{ENV}NEW=1\n"


def test_a_variable_is_set_on_top_of_those_that_provision_wrote(
    served: tuple[Host, Played, Path],
) -> None:
    host, _, _ = served
    (host.layout.env / "2.env").write_text(f"{ENV}NEW=1\n")
    layout.link(host.layout.env_current, "2.env")
    variables.change(host, {"LOG_LEVEL": "DEBUG"}, (), "alice")
    assert host.layout.env_current.read_text() == f"{ENV}NEW=1\nLOG_LEVEL=DEBUG\n"
    rollback(host, None, "alice")
    assert host.layout.env_current.readlink() == Path("1.env")


def test_setting_what_is_set_is_said_to_change_nothing(
    served: tuple[Host, Played, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    host, played, first = served
    progress.speak_json(True)
    try:
        variables.change(host, {"SMOKE_TOKEN": "hunter3"}, (), "alice")
        said = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert said == {"result": "ok", "changed": False, "release": first.name}
        assert steps(played) == []
        variables.change(host, {"SMOKE_TOKEN": "hunter4"}, (), "alice")
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["changed"] is True
    finally:
        progress.speak_json(False)


def test_to_unset_what_is_not_set_changes_nothing_and_is_no_failure(
    served: tuple[Host, Played, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever was broken off after the first of two servers calls it again."""
    host, played, _ = served
    variables.change(host, {"EXTRA": "1"}, (), "alice")
    variables.change(host, {}, ("EXTRA",), "alice")
    played.ran.clear()
    variables.change(host, {}, ("EXTRA",), "alice")
    assert steps(played) == []
    said = capsys.readouterr().out
    assert said.endswith("EXTRA is not set\nnothing is changed: it is so already\n")


@pytest.mark.parametrize("roles", [{"web", "worker"}, {"worker"}])
@pytest.mark.parametrize("then", ["a release", "another change"])
def test_variables_of_a_change_that_was_killed_after_the_switch_are_kept(
    tmp_path: Path, roles: set[str], then: str
) -> None:
    host, _ = make_host(tmp_path, roles=frozenset(roles))
    release(host, unpacked(host, 1), "alice")
    variables.change(host, {"LOG_LEVEL": "DEBUG"}, (), "alice")
    layout.link(host.layout.env_current, "1.env")  # as it is between the two
    if then == "a release":
        release(host, unpacked(host, 2), "bob")
    else:
        variables.change(host, {"EXTRA": "1"}, (), "bob")
    serves = edge.serving(host)
    assert serves is not None
    assert "LOG_LEVEL=DEBUG" in (serves / ".env").read_text()


def test_the_same_change_again_finishes_one_that_was_killed(
    served: tuple[Host, Played, Path],
) -> None:
    host, played, _ = served
    variables.change(host, {"EXTRA": "1"}, (), "alice")
    for unit in WORKERS:  # as before they were replaced
        played.started[unit] = 1
    played.ran.clear()
    variables.change(host, {"EXTRA": "1"}, (), "alice")
    assert steps(played) == ["green: root workers restart"]


def test_the_service_is_asked_once_for_all_of_its_variables(
    served: tuple[Host, Played, Path],
) -> None:
    host, played, _ = served
    assert [name for name, _ in variables.listed(host)] == ["DATABASE_URL", "SMOKE_TOKEN"]
    assert len([each for each in played.ran if "settings --json" in each]) == 1


def test_variables_that_the_service_refuses_change_nothing(
    served: tuple[Host, Played, Path],
) -> None:
    host, played, first = served
    played.failing = {"service settings": "WEB_THREADS must be a number"}
    with pytest.raises(Failed, match=r"WEB_THREADS must be a number\n.*vps env set NAME=VALUE"):
        variables.change(host, {"WEB_THREADS": "many"}, (), "alice")
    assert [path.name for path in host.layout.env.glob("*.env")] == ["1.env"]
    assert [each.name for each in releases.every(host.layout)] == [first.name]


def test_a_variable_that_the_service_does_not_know_is_set_and_said(
    served: tuple[Host, Played, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    host, played, _ = served
    played.known = {name: {"secret": False} for name in ("LOG_LEVEL", "JWT_SECRET")}
    given = {"LOGS_LEVEL": "INFO", "JWT_SECRET_FILE": "/etc/jwt"}
    variables.change(host, given, (), "alice")
    said = capsys.readouterr().out
    unknown = "LOGS_LEVEL is no variable of the service (LOG_LEVEL?); it is set all the same"
    assert [line.strip() for line in said.splitlines() if " is no " in line] == [unknown]
    assert said.count("check the variables") == 1
    assert "LOGS_LEVEL=INFO" in host.layout.env_current.read_text()
