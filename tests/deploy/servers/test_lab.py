"""What the other tests take for granted of a server."""

from collections.abc import Iterator

import pytest

from tests.deploy.servers.lab import SUITES, Server

IDENTITY = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub"


@pytest.fixture(scope="module", params=SUITES)
def new(request: pytest.FixtureRequest, key: str) -> Iterator[Server]:
    with Server(f"new-{request.param}", key, request.param) as server:
        yield server


def test_all_that_starts_with_it_has_started(new: Server) -> None:
    said = new.sh("systemctl is-system-running --wait; systemctl --failed --no-legend", check=False)
    assert said == "running\n"


def test_it_is_another_than_others_and_the_same_after_a_reboot(new: Server, key: str) -> None:
    before = new.sh(IDENTITY)
    with Server("another", key) as another:
        assert set(another.sh(IDENTITY).splitlines()).isdisjoint(before.splitlines())
    new.sh("echo '# let in later' >>/root/.ssh/authorized_keys; touch /run/before")
    new.reboot()
    assert new.sh("test ! -e /run/before; echo $?") == "0\n"  # it has booted
    assert new.sh(IDENTITY) == before
    assert "let in later" in new.sh("cat /root/.ssh/authorized_keys")


def test_a_service_starts_when_it_is_installed(new: Server) -> None:
    install = "apt-get install -qq --no-install-recommends cron >/dev/null"
    new.sh(f"apt-get update -qq; DEBIAN_FRONTEND=noninteractive {install}")
    assert new.sh("systemctl is-active cron") == "active\n"
