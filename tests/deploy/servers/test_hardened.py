"""What others say of a provisioned server: Lynis of its settings, testssl.sh of its TLS."""

from collections.abc import Iterator

import pytest

from tests.deploy.servers import lynis, testssl
from tests.deploy.servers.fleet import DOMAIN, Fleet
from tests.deploy.servers.lab import Server
from tests.deploy.tables import SERVERS
from tests.waiting import until

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


def test_what_somebody_changes_is_found_by_the_daily_look(one: Fleet) -> None:
    one.ok("provision")  # what is there now is right
    look = "systemctl start slipway-integrity.service"
    one.front.sh(look)
    one.front.sh("touch /etc/somebody")
    try:
        ended = one.front.sh(f"{look} 2>/dev/null; echo $?; journalctl -u slipway-integrity -n 200")
    finally:
        one.front.sh("rm /etc/somebody; systemctl reset-failed slipway-integrity.service")
    assert not ended.startswith("0\n")
    assert "/etc/somebody" in ended


def test_a_certificate_is_made_anew_by_its_unit_and_shown(one: Fleet) -> None:
    """As it is before it ends: then it is not good enough any more, as one that is not there."""
    file = "/etc/slipway/tls/fullchain.pem"
    fingerprint = "openssl x509 -noout -fingerprint"
    before = one.front.sh(f"{fingerprint} <{file}")
    one.front.sh(f"rm {file}; systemctl start slipway-certificate.service")
    made = one.front.sh(f"{fingerprint} <{file}")
    assert made != before
    ask = f"openssl s_client -connect 127.0.0.1:443 -servername {DOMAIN} </dev/null 2>/dev/null"
    until(lambda: one.front.sh(f"{ask} | {fingerprint}", check=False) == made)


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
