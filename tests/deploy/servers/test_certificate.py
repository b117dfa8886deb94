"""A certificate as Let's Encrypt gives one: had, renewed, and another for another domain."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.deploy.servers.authority import DAYS, NAME, Authority
from tests.deploy.servers.fleet import DOMAIN, Fleet, assert_none_failed
from tests.deploy.servers.lab import Server
from tests.waiting import until


@pytest.fixture(scope="module")
def authority(key: str) -> Iterator[Authority]:
    with Server(NAME, key, "trixie", "--network-alias", NAME) as server:
        yield Authority(server)


@contextmanager
def lets_encrypt(fleet: Fleet, authority: Authority) -> Iterator[None]:
    """Settings that ask for it; with the end of it the certificate is the server's own again."""
    try:
        with authority.trusted_by(fleet.front):
            change(fleet, 'tls = "self-signed"', 'tls = "letsencrypt"\nemail = "ops@example.com"')
            yield
    finally:
        authority.leads_nowhere()
        fleet.clone.git("checkout", "--", "deploy/servers.toml")
        fleet.ok("provision", "--yes")  # at last: it takes the files that are there then as right


def change(fleet: Fleet, old: str, new: str) -> None:
    settings = fleet.clone.folder / "deploy" / "servers.toml"
    text = settings.read_text()
    assert old in text
    settings.write_text(text.replace(old, new))


def test_it_comes_when_the_domain_leads_here_and_is_renewed_and_fails_no_request(
    one: Fleet, authority: Authority
) -> None:
    # A reload closes idle connections, as the README says: these clients keep none.
    scenario = "a certificate is had, and renewed (no kept connections)"
    with one.load(scenario, keep_alive=False) as load, lets_encrypt(one, authority):
        ended = one.vps("provision")  # the domain leads nowhere yet
        assert ended.returncode == 1
        assert f"certificate: get a certificate for {DOMAIN}" in ended.stderr
        assert "All the rest is done" in ended.stderr
        assert one.status()["one"]["certificate_provisional"]
        one.front.sh("systemctl is-active nginx fail2ban && test -s /var/lib/aide/slipway.db")
        authority.leads(DOMAIN, one.front)
        one.ok("provision")
        first = authority.serial(one, DOMAIN)
        assert not one.status()["one"]["certificate_provisional"]
        assert one.status()["one"]["certificate_days"] == DAYS - 1  # begun days do not count
        assert "nothing changed" in one.ok("provision")
        one.front.sh("systemctl start certbot.service")  # what certbot.timer starts
        until(lambda: authority.serial(one, DOMAIN) != first)  # nginx reloads in its own time
    assert_none_failed(load)
    with pytest.raises(ssl.SSLCertVerificationError):
        authority.serial(one, DOMAIN)


def test_another_domain_has_its_own_before_the_old_one_goes(
    one: Fleet, authority: Authority
) -> None:
    authority.leads(DOMAIN, one.front)
    with lets_encrypt(one, authority):
        one.ok("provision")
        change(one, DOMAIN, "www.example.com")
        asked = one.vps("provision")
        assert "nothing was touched" in asked.stderr
        assert f"careful: {DOMAIN} is answered no more" in asked.stdout
        ended = one.vps("provision", "--yes")
        assert ended.returncode == 1
        assert "get a certificate for www.example.com" in ended.stderr
        authority.serial(one, DOMAIN)
        authority.leads("www.example.com", one.front)
        one.ok("provision", "--yes")
        authority.serial(one, "www.example.com")
    assert one.request("GET", "/health/ready").status == 200
