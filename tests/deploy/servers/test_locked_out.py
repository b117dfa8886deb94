"""Nobody is shut out by provisioning: what would do that is taken back, by whoever provisions, and
by the server itself if that one is gone."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.vps.provision.revert import AFTER
from deploy.vps.provision.sshd import AUTHORIZED
from tests.begun import wait_for
from tests.deploy.servers.fleet import Fleet
from tests.deploy.servers.lab import new_key
from tests.deploy.tables import SERVERS
from tests.waiting import until


@pytest.fixture
def another(one: Fleet, tmp_path: Path) -> Iterator[str]:
    """The only key in `keys`, which is not the caller's."""
    settings = one.clone.folder / "deploy" / "servers.toml"
    text = settings.read_text()
    assert one.front.key in text
    settings.write_text(text.replace(one.front.key, public := new_key(tmp_path, "another")))
    yield public
    settings.write_text(text)
    assert "nothing changed" in one.ok("provision")


def lets_in(one: Fleet) -> bool:
    """Whether the operator's next connection is one. Not to be asked often: ten failures ban."""
    command = ["ssh", "-F", str(one.config), f"deploy@{one.front.address}", "true"]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def test_who_takes_their_own_key_out_is_told_and_stays_in(one: Fleet, another: str) -> None:
    before = one.front.sh(f"cat {AUTHORIZED}")
    ended = one.vps("provision")
    assert ended.returncode == 1
    assert f"{AUTHORIZED} was taken back; nothing after it was done" in ended.stderr
    assert "is in `keys` of deploy/servers.toml: add yours" in ended.stderr
    assert one.front.sh(f"cat {AUTHORIZED}") == before
    assert lets_in(one)


def test_who_is_killed_before_anybody_has_come_in_anew_is_let_in_again(
    one: Fleet, another: str, tmp_path: Path
) -> None:
    """The new connection takes so long to begin that there is time for the kill."""
    before = one.front.sh(f"cat {AUTHORIZED}")
    config = tmp_path / "slow"
    config.write_text(f'{one.config.read_text()}Match user deploy exec "sleep 15"\n')
    with one.clone.begun("vps", "--ssh-config", str(config), "provision") as running:
        wait_for(running, "ssh: try a new connection as deploy")
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
    start = time.monotonic()
    assert another in one.front.sh(f"cat {AUTHORIZED}")
    assert not lets_in(one)

    def taken_back() -> bool:
        time.sleep(1)
        return one.front.sh(f"cat {AUTHORIZED}") == before

    until(taken_back, seconds=AFTER + 30)
    SERVERS.figures.append(
        "shut out by a provision that was killed: let in again after"
        f" {time.monotonic() - start:.0f} s"
    )
    assert lets_in(one)
