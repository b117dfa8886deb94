"""One at a time on a server, and who is told what."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

from deploy.shell import Failed, kept_open
from deploy.vps.host import audit, lock, surroundings
from deploy.vps.host.__main__ import main
from deploy.vps.host.layout import Layout

# Takes the lock, says so, and keeps it until its standard input ends.
HOLDER = """
import sys
from pathlib import Path
from deploy.vps.host import lock
from deploy.vps.host.layout import Layout
lock.take(Layout(Path(sys.argv[1])), "alice", "release main", None)
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def found(tmp_path: Path) -> Iterator[Layout]:
    before = set(kept_open)
    yield Layout(tmp_path)
    for descriptor in kept_open - before:
        kept_open.discard(descriptor)
        os.close(descriptor)


def test_the_second_is_told_who_is_there(found: Layout) -> None:
    command = [sys.executable, "-c", HOLDER, str(found.root)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        with pytest.raises(Failed, match=r"release main by alice runs since 20\S+ already: wait"):
            lock.take(found, "bob", "rollback", None)
        running = lock.running(found)
        assert running is not None and running.startswith("release main by alice runs since")
        with pytest.raises(Failed, match="release main by alice"), lock.held(found, "bob", "all"):
            pass
        holder.kill()  # whatever it was doing
    lock.take(found, "bob", "rollback", None)


def test_who_only_looks_refuses_nobody(found: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `status` does, which has the lock for a moment to see whether it is free."""
    monkeypatch.setattr(lock, "LOOK", 5.0)
    looks = lock.opened(found.lock)
    fcntl.flock(looks, fcntl.LOCK_SH)
    ends = Timer(0.05, os.close, [looks])
    ends.start()
    lock.take(found, "alice", "release", None)
    ends.join()


def test_a_hold_that_is_taken_while_one_waits_for_the_lock_is_seen(
    found: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LOOK", 5.0)
    looks, hold = lock.opened(found.lock), lock.opened(found.hold)
    fcntl.flock(looks, fcntl.LOCK_SH)

    def hold_and_look_no_more() -> None:
        fcntl.flock(hold, fcntl.LOCK_EX)
        os.close(looks)

    somebody = Timer(0.05, hold_and_look_no_more)
    somebody.start()
    with pytest.raises(Failed, match="something runs: wait until that has ended"):
        lock.take(found, "alice", "release", None)
    somebody.join()
    os.close(hold)
    lock.take(found, "alice", "release", None)  # who was refused has let go of it


def test_while_somebody_has_the_lock_nobody_gets_a_hold(found: Layout) -> None:
    lock.take(found, "alice", "release", None)
    with pytest.raises(Failed, match="release by alice runs since"), lock.held(found, "bob", "x"):
        pass


def test_nobody_is_there(found: Layout) -> None:
    assert lock.running(found) is None
    lock.take(found, "alice", "release", None)
    assert found.lock.stat().st_mode & 0o077 == 0  # nobody else may open it, and keep it


def test_on_a_full_disk_the_lock_is_taken_all_the_same(found: Layout) -> None:
    found.lock.symlink_to("/dev/full")
    lock.take(found, "alice", "rollback", None)


def test_a_hold_whose_token_cannot_be_written_is_none(found: Layout) -> None:
    found.hold.symlink_to("/dev/full")
    with pytest.raises(Failed, match="hold: No space left"), lock.held(found, "alice", "all"):
        pass


def test_a_hold_lets_those_in_who_have_its_token(found: Layout) -> None:
    with lock.held(found, "alice", "release of 3 servers") as token:
        with pytest.raises(Failed, match=r"release of 3 servers by alice runs since \S+: wait"):
            lock.check_hold(found, None)
        with pytest.raises(Failed, match="release of 3 servers by alice"):
            lock.check_hold(found, "another")
        lock.check_hold(found, token)
        with pytest.raises(Failed, match="release of 3 servers"), lock.held(found, "bob", "x"):
            pass
    lock.check_hold(found, None)
    with pytest.raises(Failed, match="whoever had it is gone"):
        lock.check_hold(found, token)


def test_the_lock_is_passed_on_to_the_program_that_follows(found: Layout) -> None:
    descriptor = lock.take(found, "alice", "release main", None)
    lock.pass_on(descriptor)
    try:
        assert os.get_inheritable(descriptor)
        assert lock.take(found, "alice", "release 2026", None) == descriptor
    finally:
        assert surroundings.take(surroundings.LOCK) is None  # it is not passed on twice


def test_another_open_file_is_not_taken_for_the_lock(found: Layout, tmp_path: Path) -> None:
    found.lock.touch()
    with (tmp_path / "other").open("w") as other:
        surroundings.put(surroundings.LOCK, str(other.fileno()))
        assert lock.take(found, "alice", "release", None) != other.fileno()
    surroundings.put(surroundings.LOCK, "nonsense")


def test_people_lock_releases_and_say_why(found: Layout) -> None:
    lock.check_lock(found)
    lock.lock_on(found, "alice", "the database is moved")
    with pytest.raises(
        Failed, match=r"locked by alice at 20.*: the database is moved. `vps lock off`"
    ):
        lock.check_lock(found)
    lock.lock_off(found)
    lock.lock_off(found)
    lock.check_lock(found)


def test_who_it_is() -> None:
    given = {"USER": "deploy", "SSH_CONNECTION": "192.0.2.1 5000 192.0.2.2 22"}
    assert surroundings.who(None, given) == "deploy from 192.0.2.1"
    assert surroundings.who(None, {"USER": "root", "SUDO_USER": "alice"}) == "alice"
    assert surroundings.who("ci of commit 1a2b", given) == "ci of commit 1a2b"


def test_ci_cannot_say_that_it_is_somebody_else() -> None:
    address = {"SSH_CONNECTION": "192.0.2.1 5000 192.0.2.2 22"}
    given = {"USER": "deploy", "SSH_ORIGINAL_COMMAND": "slipway release", **address}
    assert surroundings.who(None, given) == "ci from 192.0.2.1"
    known = surroundings.who("alice", given)
    assert known == "ci from 192.0.2.1 (alice)"
    assert surroundings.who(known, given) == known  # of the program that was executed before
    assert surroundings.who("ci from 192.0.2.11", given) == "ci from 192.0.2.1 (ci from 192.0.2.11)"


def test_what_somebody_says_moves_no_cursor_of_who_reads_it(found: Layout) -> None:
    given = {"SSH_ORIGINAL_COMMAND": "slipway release", "SSH_CONNECTION": "192.0.2.1 1"}
    assert surroundings.who("\x1b[2Jroot\n", given) == "ci from 192.0.2.1 (?[2Jroot?)"
    audit.append(found, {"who": "alice", "what": "balance out \x1b[2J"}, "ok", 0)
    assert json.loads(found.log.read_text())["what"] == "balance out ?[2J"
    lock.take(found, "alice", "release \x1b[2J", None)
    assert (lock.running(found) or "").startswith("release ?[2J by alice")


def test_wrong_words_exit_with_2_and_a_server_without_settings_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ([], ["nonsense"], ["release"], ["balance", "up", "web1"], ["turn"]):
        with pytest.raises(SystemExit, match="2"):
            main(words)
    found = Layout(tmp_path, settings=tmp_path / "server.json")
    assert main(["status"], found) == 1
    assert "python -m deploy vps provision" in capsys.readouterr().err
