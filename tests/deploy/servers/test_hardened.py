"""What others say of a provisioned server: Lynis of its settings, testssl.sh of its TLS."""

from collections.abc import Iterator

import pytest

from tests.deploy.servers import lynis, testssl
from tests.deploy.servers.fleet import DOMAIN, Fleet
from tests.deploy.servers.lab import Server
from tests.deploy.tables import SERVERS

INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends {} >/dev/null"


def test_lynis_gives_it_at_least_eighty(one: Fleet) -> None:
    one.front.sh(INSTALL.format("lynis"))
    try:
        one.front.sh(" ".join(lynis.COMMAND))
        report = lynis.read(one.front.sh(f"cat {lynis.REPORT}"))
    finally:
        one.front.sh("apt-get purge -qq --autoremove lynis >/dev/null")
        one.ok("provision")
    SERVERS.figures.append(f"Lynis' hardening index: {report.index}")
    assert report.index >= lynis.LEAST, "\n".join(report.lines())


@pytest.fixture(scope="module")
def examiner(one: Fleet) -> Iterator[Server]:
    """Somebody else, with testssl.sh."""
    with Server("examiner", one.front.key) as server:
        server.sh("apt-get update -qq; " + INSTALL.format("testssl.sh"))
        yield server


def test_testssl_finds_nothing_worse_than_low(one: Fleet, examiner: Server) -> None:
    certificate = one.front.sh("cat /etc/slipway/tls/fullchain.pem")
    examiner.sh(f"cat >/tmp/ca.pem <<'END'\n{certificate}\nEND")
    words = testssl.command(DOMAIN, one.front.address, "/tmp/report.json", "/tmp/ca.pem")
    examiner.sh(" ".join(words), check=False)
    found = testssl.findings(examiner.sh("cat /tmp/report.json"))
    assert testssl.worse_than_low(found, testssl.SELF_SIGNED) == []
