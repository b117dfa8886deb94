"""A call of a server: how it is spelt, and what is said of one that fails."""

import os
from pathlib import Path

import pytest

from deploy.shell import Failed
from deploy.vps.failures import MEANINGS, failure
from deploy.vps.servers import Server
from deploy.vps.ssh import ABSENT, Ssh, control_folder, follow
from tests.deploy.standin import ONE, Servers, vps

HOST = Server(name="one", address="198.51.100.7", private="10.0.0.1", roles=("web",), port=2222)


SAID = [
    ("@@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@@\nHost key verification failed.", 0),
    ("No ED25519 host key is known for one.\nHost key verification failed.", 1),
    ("ssh: Could not resolve hostname one: Name or service not known", 2),
    ("ssh: connect to host one port 2222: Connection refused", 3),
    ("ssh: connect to host one port 2222: Connection timed out", 4),
    ("ssh: connect to host one port 2222: No route to host", 5),
    ("ssh: connect to host one port 2222: Network is unreachable", 6),
    ("deploy@one: Permission denied (publickey).", 7),
]


@pytest.mark.parametrize(("said", "meaning"), SAID)
def test_what_ssh_says_is_said_in_words(said: str, meaning: int) -> None:
    words = MEANINGS[meaning][1].format(where="deploy@198.51.100.7 -p 2222", server=HOST)
    assert str(failure(HOST, 255, said)) == f"one: {words}"


def test_what_the_server_says_is_passed_on() -> None:
    assert str(failure(HOST, 1, "failed: no such release\n")) == "one: no such release"
    assert str(failure(HOST, 255, "kex: reset\n")).endswith("-p 2222 broke: kex: reset")


def test_a_server_without_our_program_is_to_be_provisioned(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "bash: line 1: /usr/local/bin/slipway: No such file or directory\n"
    servers.answer("one", "status", code=127, err=said)
    servers.answer("one", "backup", code=127, err=said)
    why = "one: is not provisioned to its end: python -m deploy vps provision\n"
    assert vps(tmp_path, ONE, "status") == 1
    assert why in capsys.readouterr().out
    assert vps(tmp_path, ONE, "backup") == 1
    assert capsys.readouterr().err == f"failed: {why}"


def test_what_ssh_says_is_said_though_it_took_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "#!/bin/sh\nexec <&-\necho 'deploy@one: Permission denied (publickey).' >&2\nexit 255\n"
    )
    (tmp_path / "ssh").write_text(program)
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    more_than_a_pipe_holds = "NAME=value\n" * 100_000
    with pytest.raises(Failed, match=r"^one: deploy@.* does not accept your key"):
        follow(Ssh(None, tmp_path), HOST, "env", given=more_than_a_pipe_holds)


def test_a_call_is_one_argument_for_a_shell_that_is_not_ours() -> None:
    words = Ssh(Path("/c"), Path("/m")).words(HOST)
    assert words[:3] == ["ssh", "-F", "/c"]
    assert words[-3:] == ["-p", "2222", "deploy@198.51.100.7"]
    assert "BatchMode=yes" in words


def test_where_there_is_no_ssh_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for verb in ("status", "backup", "rollback", "logs"):
        assert vps(tmp_path, ONE, verb) == 1
        assert capsys.readouterr().err == f"failed: {ABSENT}\n"


def test_a_connection_s_socket_has_a_path_that_systems_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where $TMPDIR is as long as macOS has it; ssh adds 58 bytes while it makes one."""
    (long := tmp_path / ("x" * 60)).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with control_folder() as folder:
        assert len(f"{folder}/") + 57 < 104
