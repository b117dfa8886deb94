"""Which code does a verb on a server, and what a look at a server sees."""

import ssl
import subprocess
import sys
from pathlib import Path
from socket import create_server
from threading import Thread

import pytest

from deploy.shell import Failed
from deploy.vps.host import entry, processes, releases, status
from deploy.vps.host.layout import Layout
from service.environment import ROOT
from tests.deploy.vps_host import make_host, unpacked
from tests.test_commands import VALID

DOMAIN = "api.example.com"


@pytest.fixture
def prepared(tmp_path: Path) -> tuple[Layout, str]:
    """A release, and that has the program."""
    host, _ = make_host(tmp_path)
    folder = unpacked(host, 2)
    (folder / "deploy/vps/host").mkdir(parents=True)
    (folder / "deploy/vps/host/__main__.py").touch()
    return host.layout, folder.name


@pytest.mark.parametrize("verb", ["migrate", "turn", "workers", "smoke", "settle"])
def test_a_step_is_done_by_the_release_that_it_is_of(
    prepared: tuple[Layout, str], verb: str
) -> None:
    found, name = prepared
    for words in (
        [name],
        [name, "--who", "alice", "--token", "1", "--json"],
        ["--token=1", "--attended", "--who", "alice", name],
    ):
        assert entry.step_of(found, [verb, *words]) == found.releases / name


@pytest.mark.parametrize(
    "words",
    [
        *(["discard", "NAME"], ["rollback", "NAME"], ["status"], ["turn"], ["turn", "--help"], []),
        *(["turn", "../releases/NAME"], ["turn", "20260101T000009Z-000000000009"]),
        ["turn", "--who", "NAME"],
    ],
)
def test_all_else_is_done_by_what_serves(prepared: tuple[Layout, str], words: list[str]) -> None:
    found, name = prepared
    assert entry.step_of(found, [word.replace("NAME", name) for word in words]) is None


def test_a_release_without_the_program_is_served_by_what_serves(tmp_path: Path) -> None:
    host, _ = make_host(tmp_path)
    folder = unpacked(host, 2)
    assert releases.NAME.fullmatch(folder.name)
    assert entry.step_of(host.layout, ["turn", folder.name]) is None


@pytest.mark.parametrize("verb", ["release", "prepare"])
def test_who_asks_what_a_verb_takes_is_told_all_of_it(verb: str) -> None:
    command = [sys.executable, "-m", "deploy.vps.host.entry", verb, "--help"]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    assert f"usage: slipway {verb} " in said
    assert "--attended" in said


def test_the_requests_of_nginx_are_shown_and_not_its_starts_alone() -> None:
    journal, files = processes.logs(["nginx"], follow=True, lines=9)
    assert (journal[0], "--follow" in journal) == ("journalctl", False)
    where = "/var/log/nginx"
    assert files == ["tail", "--lines=9", "-F", f"{where}/access.log", f"{where}/error.log"]
    (web,) = processes.logs(["web"], follow=True, lines=9)
    assert "--follow" in web
    with pytest.raises(Failed, match="ask for its logs alone"):
        processes.logs(["web", "nginx"], follow=False, lines=9)


def test_a_console_takes_what_comes_by_a_pipe(prepared: tuple[Layout, str]) -> None:
    found, name = prepared
    command = processes.console(found.releases / name)
    python = command.index(f"{found.releases / name}/.venv/bin/python")
    assert command[:4] == ["sudo", "-n", "-u", "slipway"]
    given = b"print(app.name, len(session.new))\n"
    here = [sys.executable, *command[python + 1 :]]
    ended = subprocess.run(here, input=given, capture_output=True, cwd=ROOT, env=VALID)
    assert ended.stdout.splitlines()[-1] == b"service 0", ended.stderr


def test_the_certificate_is_asked_for_by_the_domain_and_may_be_self_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nginx refuses who says no name."""
    monkeypatch.setattr(status, "ASK_WITHIN", 30)
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={DOMAIN}"]
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate")]
    subprocess.run(["openssl", *words, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    context.sni_callback = lambda _, name, __: (
        None if name == DOMAIN else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    )
    with create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with context.wrap_socket(listener.accept()[0], server_side=True):
                pass

        thread = Thread(target=answer)
        thread.start()
        shown = status.certificate(DOMAIN, listener.getsockname()[1])
        thread.join()
    assert shown == (tmp_path / "certificate").read_text()
