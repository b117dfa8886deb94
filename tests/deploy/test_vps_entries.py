"""How files get on a server: in one move, and by nobody who could be led elsewhere by a link."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.vps.provision import entries, keys, program, sshd, users
from deploy.vps.provision.entries import Entry, File, Folder, Gone
from deploy.vps.servers import Fleet, Server
from service.environment import ROOT

ONE = Server(
    name="one", address="198.51.100.7", private="10.0.0.1", roles=("web", "worker", "database")
)
FLEET = Fleet(domain="api.example.com", tls="none", keys=("-",), servers=(ONE,))
OTHER = "nobody"  # stands for deploy; no test has a right to make users
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root is led by somebody else's links")


def text_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def put(
    path: Path, content: str, check: tuple[str, ...] = (), owner: str = "", group: str = ""
) -> int:
    owner, group = owner or text_of("id", "-un"), group or text_of("id", "-gn")
    file = File(str(path), content, mode="640", owner=owner, group=group, check=check)
    return subprocess.run(entries.put(file), input=content.encode()).returncode


def test_a_file_is_put_in_its_place_in_one_move(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    refused = put(path, "new\n", check=("false",))
    assert (refused, path.read_text()) == (1, "old")
    assert put(path, "new\n", check=("grep", "-q", "new")) == 0
    assert path.read_text() == "new\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Path]:
    """A folder of somebody else's, below one of root's that everybody may enter."""
    folder = Path("/run") / f"slipway-test-{os.getpid()}"
    (folder / "theirs").mkdir(parents=True)
    shutil.chown(folder / "theirs", OTHER)
    yield folder / "theirs"
    shutil.rmtree(folder)


@as_root
@pytest.mark.parametrize("owner", ["root", OTHER])
@pytest.mark.parametrize("name", ["file", "file.new", ".file.new"])
def test_a_link_in_somebody_elses_folder_leads_nobody_away(
    theirs: Path, tmp_path: Path, owner: str, name: str
) -> None:
    (aim := tmp_path / "passwd").write_text("root")
    (theirs / name).symlink_to(aim)
    assert put(theirs / "file", "new\n", owner=owner, group=text_of("id", "-gn", owner)) == 0
    assert (aim.read_text(), aim.owner()) == ("root", "root")
    assert not (theirs / "file").is_symlink()
    assert ((theirs / "file").read_text(), (theirs / "file").owner()) == ("new\n", owner)


@as_root
def test_a_folder_that_is_a_link_leads_only_where_its_owner_may_go(
    theirs: Path, tmp_path: Path
) -> None:
    (aim := tmp_path / "etc").mkdir()
    (aim / "file").write_text("root")
    (theirs / "folder").symlink_to(aim)
    path = theirs / "folder" / "file"
    assert put(path, "new\n", owner=OTHER, group=text_of("id", "-gn", OTHER)) != 0
    subprocess.run(entries.removed(Gone(str(path), by=OTHER)), capture_output=True)
    folder = Folder(str(theirs / "folder/new"), owner=OTHER, group="root", by=OTHER)
    assert subprocess.run(entries.made(folder), capture_output=True).returncode != 0
    assert [(each.name, each.read_text()) for each in aim.iterdir()] == [("file", "root")]


def written() -> list[Entry]:
    return [
        *users.user_files(),
        keys.SSH,
        *sshd.gone(),
        *program.program_files(ROOT, FLEET, ONE),
        *program.repository_files(ROOT, FLEET),
    ]


def test_what_lies_in_a_folder_of_deploys_is_written_as_deploy() -> None:
    theirs = [each.path for each in written() if isinstance(each, Folder) and each.owner != "root"]
    below = [each for each in written() if any(each.path.startswith(f"{path}/") for path in theirs)]
    assert len(below) > 8
    assert {each.by for each in below} == {"deploy"}


def test_nobody_but_root_says_who_may_come_in_as_deploy() -> None:
    deploys = [each.path for each in written() if each.by == "deploy"]
    assert not any(Path(sshd.AUTHORIZED).is_relative_to(path) for path in deploys)
    assert f"Match User deploy\n    AuthorizedKeysFile {sshd.AUTHORIZED}\n" in sshd.settings()


@pytest.mark.parametrize(
    ("where", "login", "port", "name"),
    [
        ("backup@203.0.113.9:/srv/backups", "backup@203.0.113.9", 22, "203.0.113.9"),
        ("git@Git.example.com:you/yours.git", "git@Git.example.com", 22, "git.example.com"),
        ("ssh://git@git.example.com/a.git", "git@git.example.com", 22, "git.example.com"),
        (
            "ssh://git@git.example.com:2222/a.git",
            "git@git.example.com",
            2222,
            "[git.example.com]:2222",
        ),
    ],
)
def test_a_host_is_known_by_the_name_that_ssh_looks_for(
    where: str, login: str, port: int, name: str
) -> None:
    place = keys.Place.read(where)
    assert place is not None
    assert (place.login, place.port, place.name) == (login, port, name)


@pytest.mark.parametrize("where", ["https://git.example.com/a.git", "-oProxyCommand=id:x"])
def test_what_is_not_reached_by_ssh_has_no_host_key(where: str) -> None:
    assert keys.Place.read(where) is None


def test_at_night_no_host_key_is_taken_for_right() -> None:
    assert "StrictHostKeyChecking yes\n" in keys.SSH.content
    assert "UserKnownHostsFile none\n" in keys.SSH.content
