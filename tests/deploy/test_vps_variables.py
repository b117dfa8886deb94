"""The variables of releases: which one has which, and with which the next one begins."""

import json
from pathlib import Path

import pytest

from deploy.shell import Failed
from deploy.vps.host import edge, layout, progress, releases, turn, variables
from deploy.vps.host.layout import Host
from deploy.vps.host.release import prepare, release
from deploy.vps.host.rollback import rollback
from tests.deploy.vps_host import ENV, Played, make_served, steps, unpacked


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


def test_variables_that_the_service_refuses_change_nothing(
    served: tuple[Host, Played, Path],
) -> None:
    host, played, first = served
    played.failing = {"service settings": "WEB_THREADS must be a number"}
    with pytest.raises(Failed, match="WEB_THREADS must be a number"):
        variables.change(host, {"WEB_THREADS": "many"}, (), "alice")
    assert [path.name for path in host.layout.env.glob("*.env")] == ["1.env"]
    assert [each.name for each in releases.every(host.layout)] == [first.name]
