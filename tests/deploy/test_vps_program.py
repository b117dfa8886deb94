"""The host program and its folders on a server, before there is a release."""

import os
import subprocess
import time
from pathlib import Path

from deploy.vps.provision import program
from deploy.vps.provision.entries import File, Folder
from service.environment import ROOT
from tests.deploy.test_vps_provision import FRONT, THREE, WEB


def test_the_program_on_a_server_has_what_it_imports(tmp_path: Path) -> None:
    """Installed as provisioning does it, and asked for its usage."""
    for entry in program.library(ROOT):
        path = tmp_path / entry.path.removeprefix(program.LIBRARY).lstrip("/")
        if isinstance(entry, Folder):
            path.mkdir(exist_ok=True)
        elif isinstance(entry, File):
            path.write_text(entry.content)
    command = ["python3", "-c", "import deploy.vps.host.entry, deploy.vps.host.__main__"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_the_program_is_taken_from_where_it_was_installed_and_from_nowhere_else(
    tmp_path: Path,
) -> None:
    installed, elsewhere = tmp_path / "library", tmp_path / "elsewhere"
    for folder in (installed, elsewhere):
        (folder / "deploy/vps/host").mkdir(parents=True)
        (folder / "deploy/vps/host/entry.py").write_text(f"print({folder.name!r})")
    command = program.COMMAND.replace(program.LIBRARY, str(installed))
    ended = subprocess.run(["sh", "-c", command], cwd=elsewhere, capture_output=True, check=True)
    assert ended.stdout == b"library\n"


def test_what_is_not_compiled_or_has_changed_is_found(tmp_path: Path) -> None:
    stale, compile_ = (
        ["sh", "-c", each.replace(program.LIBRARY, str(tmp_path))]
        for each in (program.STALE, program.COMPILE)
    )
    (tmp_path / "one.py").write_text("")
    assert subprocess.run(stale, capture_output=True).stdout.decode() == f"{tmp_path}/one.py\n"
    subprocess.run(compile_, check=True)
    assert subprocess.run(stale, capture_output=True).stdout == b""
    later = time.time() + 1
    os.utime(tmp_path / "one.py", (later, later))
    assert subprocess.run(stale, capture_output=True).stdout != b""


def test_only_a_balancer_has_flags_of_servers_and_only_of_those_that_there_are() -> None:
    assert program.flagged(THREE, FRONT) == (WEB,)
    assert program.flagged(THREE, WEB) == ()
