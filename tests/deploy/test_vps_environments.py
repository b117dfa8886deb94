"""Packages on a server: built once for each lock, never over what serves."""

from pathlib import Path

import pytest

from deploy.shell import Failed
from deploy.vps.host import environments, layout, releases
from deploy.vps.host.layout import Host
from tests.deploy.vps_host import Played, make_host, unpacked


@pytest.fixture
def server(tmp_path: Path) -> tuple[Host, Played]:
    return make_host(tmp_path)


def built(played: Played) -> int:
    return sum("venv environments/" in each for each in played.ran)


def test_the_lock_the_python_and_the_machine_make_the_name() -> None:
    found = {
        environments.key(lock, python, machine)
        for lock in (b"flask==1", b"flask==2")
        for python in ("3.11", "3.13")
        for machine in ("x86_64", "aarch64")
    }
    assert len(found) == 8
    assert environments.key(b"flask==1") == environments.key(b"flask==1")


def test_the_same_lock_has_the_same_packages(server: tuple[Host, Played]) -> None:
    host, played = server
    for number in (1, 2):
        environments.provide(host, unpacked(host, number))
    assert built(played) == 1
    (folder,) = host.layout.environments.iterdir()
    assert {(each / ".venv").resolve() for each in releases.every(host.layout)} == {folder}
    third = unpacked(host, 3)
    (third / "requirements.txt").write_text("flask==3.2")
    environments.provide(host, third)
    assert built(played) == 2


def test_they_are_read_only(server: tuple[Host, Played]) -> None:
    host, _ = server
    environments.provide(host, folder := unpacked(host, 1))
    for path in ((folder / ".venv").resolve(), (folder / ".venv/bin/python").resolve()):
        assert path.stat().st_mode & 0o222 == 0


@pytest.mark.parametrize("damage", ["marker", "file", "more", "python", "size"])
def test_a_damaged_one_is_built_anew_beside_it_while_a_release_has_it(
    server: tuple[Host, Played], damage: str
) -> None:
    host, played = server
    environments.provide(host, first := unpacked(host, 1))
    folder = (first / ".venv").resolve()
    for path in (folder, folder / "bin", folder / "bin/python", folder / "complete"):
        path.chmod(0o755)
    match damage:
        case "marker":
            (folder / "complete").unlink()
        case "file" | "python":
            (folder / "bin/python").unlink()
        case "more":
            (folder / "bin/more").touch()
        case "size":
            (folder / "bin/python").write_text("")
    if damage == "python":  # of the system, which was upgraded: what is left is a link
        (folder / "bin/python").symlink_to("/no/python")
        layout.write(folder / "complete", environments.fingerprint(folder))
    environments.provide(host, second := unpacked(host, 2))
    assert built(played) == 2
    assert (second / ".venv").resolve() == folder.with_name(f"{folder.name}-2")
    assert environments.is_whole((second / ".venv").resolve())
    assert (first / ".venv").resolve() == folder  # what may run of it keeps it


def test_one_that_cannot_be_built_leaves_nothing(server: tuple[Host, Played]) -> None:
    """It would take the room that the next release needs."""
    host, played = server
    played.failing = {"pip install": "no space left on device"}
    with pytest.raises(Failed, match="no space left on device"):
        environments.provide(host, folder := unpacked(host, 1))
    assert not (folder / ".venv").exists()
    assert list(host.layout.environments.iterdir()) == []


def test_one_whose_build_was_killed_is_built_anew_in_its_place(server: tuple[Host, Played]) -> None:
    host, played = server
    name = environments.key((unpacked(host, 1) / "requirements.txt").read_bytes())
    (host.layout.environments / name / "bin").mkdir(parents=True)
    environments.provide(host, folder := unpacked(host, 2))
    assert built(played) == 1
    assert (folder / ".venv").resolve() == host.layout.environments / name


def test_room_is_needed_for_what_is_to_be_built_alone(server: tuple[Host, Played]) -> None:
    host, _ = server
    environments.provide(host, folder := unpacked(host, 1))
    lock = (folder / "requirements.txt").read_bytes()
    assert environments.needs(host.layout, lock) == 0
    assert environments.needs(host.layout, b"other") == environments.LEAST
