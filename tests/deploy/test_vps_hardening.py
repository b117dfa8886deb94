"""What a server of one's own is hardened with, and how the reports about it are read."""

import subprocess
from pathlib import Path

import pytest

from deploy.vps.provision import hardening, tls
from deploy.vps.provision.entries import File
from deploy.vps.provision.services import gone_files
from deploy.vps.servers import Fleet, Server
from tests.deploy.servers import lynis, testssl

WEB = Server(name="web1", address="198.51.100.1", port=2222, private="10.0.0.1", roles=("web",))
DATA = Server(name="data1", address="198.51.100.2", private="10.0.0.2", roles=("database",))
FLEET = Fleet(
    domain="api.example.com",
    tls="letsencrypt",
    email="ops@example.com",
    keys=("-",),
    servers=(WEB, DATA),
)
IGNORED = "ignoreip = 127.0.0.1/8 ::1 10.0.0.1 10.0.0.2 198.51.100.1 198.51.100.2\n"


def banning(server: Server) -> dict[str, str]:
    files = [each for each in hardening.banning(FLEET, server) if isinstance(each, File)]
    return {each.path: each.content for each in files}


def test_sign_in_is_watched_where_users_ask() -> None:
    found = banning(WEB)
    assert set(found) == {
        "/etc/fail2ban/jail.local",
        "/etc/fail2ban/filter.d/slipway-sign-in.conf",
    }
    jail = found["/etc/fail2ban/jail.local"]
    assert "[sshd]\nenabled = true\nbackend = systemd\nmaxretry = 10\nport = 2222\n" in jail
    assert "[slipway-sign-in]\nenabled = true\n" in jail
    assert jail.endswith(IGNORED)


def test_elsewhere_only_ssh_is() -> None:
    found = banning(DATA)
    assert set(found) == {"/etc/fail2ban/jail.local"}
    assert "sign-in" not in found["/etc/fail2ban/jail.local"]


@pytest.mark.parametrize("server", [WEB, DATA])
def test_what_a_role_alone_needs_is_not_written_where_it_is_removed(server: Server) -> None:
    written = {entry.path for entry in hardening.entries()}
    assert written & {entry.path for entry in gone_files(server.roles)} == {*()}


def test_login_defs_keeps_what_is_not_ours() -> None:
    text = "# UMASK is read by pam_umask\nUMASK\t\t022\nPASS_MAX_DAYS\t99999\n"
    assert hardening.with_login(text) == (
        "# UMASK is read by pam_umask\n"
        "PASS_MAX_DAYS\t99999\n"
        "SHA_CRYPT_MIN_ROUNDS 65536\n"
        "SHA_CRYPT_MAX_ROUNDS 65536\n"
        "UMASK 027\n"
    )
    assert hardening.with_login(hardening.with_login(text)) == hardening.with_login(text)


def test_modes_that_are_right_are_left() -> None:
    found = {"/root": "700", "/etc/crontab": "644"}
    assert list(hardening.differing_modes(found)) == [("/etc/crontab", "600")]


@pytest.mark.parametrize("part", ["kernel.conf", "network.conf"])
def test_settings_of_the_kernel_are_read_as_sysctl_reads_them(part: str) -> None:
    found = hardening.settings(part)
    assert len(found) > 8
    assert all(name.count(".") >= 1 and value.isdigit() for name, value in found.items())


def test_certbot_is_asked_for_the_domain_by_its_webroot() -> None:
    assert " ".join(tls.certbot("api.example.com", "ops@example.com")) == (
        "certbot certonly --non-interactive --agree-tos --no-eff-email --email ops@example.com"
        " --webroot --webroot-path /var/www/acme --cert-name api.example.com"
        " --domain api.example.com --key-type ecdsa"
    )


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for the domain, for 10 more days, and the program that looks at it."""
    (tmp_path / "domain").write_text("api.example.com\n")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 10 -subj /CN=x"
        " -addext subjectAltName=DNS:api.example.com -out fullchain.pem -keyout privkey.pem"
    )
    subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=True)
    text = (tls.HERE / "certificate.sh").read_text().replace(tls.FOLDER, str(tmp_path))
    (tmp_path / "program").write_text(text)
    return tmp_path


def holds(folder: Path, *options: str) -> bool:
    command = ["sh", str(folder / "program"), *options, "--check"]
    return subprocess.run(command, capture_output=True).returncode == 0


def test_lets_encrypts_is_not_replaced_before_certbot_renews_it(certificate: Path) -> None:
    assert holds(certificate, *tls.ANY_AGE)
    assert not holds(certificate)  # one of our own is made anew
    before = (certificate / "fullchain.pem").read_text()
    subprocess.run(["sh", str(certificate / "program"), *tls.ANY_AGE], check=True)
    assert (certificate / "fullchain.pem").read_text() == before


def test_one_for_another_domain_is(certificate: Path) -> None:
    (certificate / "domain").write_text("www.example.com\n")
    assert not holds(certificate, *tls.ANY_AGE)
    (certificate / "domain").write_text("api.example.com\n")
    (certificate / "fullchain.pem").unlink()
    assert not holds(certificate, *tls.ANY_AGE)


def test_the_hook_of_certbot_is_gone_where_it_is_not_used() -> None:
    mine = FLEET.model_copy(update={"tls": "self-signed"})
    kinds = {entry.path: type(entry).__name__ for entry in tls.entries(mine)}
    assert kinds[tls.HOOK] == "Gone"
    assert {entry.path: type(entry).__name__ for entry in tls.entries(FLEET)}[tls.HOOK] == "File"


@pytest.mark.parametrize(
    ("domain", "config", "expected"),
    [
        ("www.example.com", "include plain.conf;", b"active\n"),
        ("api.example.com", "include plain.conf;", b""),  # the one that it serves already
        ("www.example.com", "listen 80;", b""),  # without TLS it answers no certbot
    ],
)
def test_a_new_name_gets_its_certificate_before_nginx_drops_the_old_one(
    tmp_path: Path, domain: str, config: str, expected: bytes
) -> None:
    (tmp_path / "domain").write_text("api.example.com\n")
    (tmp_path / "site.conf").write_text(config)
    text = tls.SERVES_ANOTHER.replace(tls.FOLDER, str(tmp_path)).replace(
        "/etc/nginx", str(tmp_path)
    )
    script = f"systemctl() {{ echo active; }}\n{text}"
    ended = subprocess.run(["sh", "-c", script, "serves", domain], capture_output=True)
    assert ended.stdout == expected


def test_what_certbot_renewed_is_handed_over_once(tmp_path: Path) -> None:
    """certbot's is a link."""
    (tmp_path / "archive").write_text("new")
    (tmp_path / "theirs").symlink_to("archive")

    def differs(theirs: str) -> bytes:
        command = ["sh", "-c", tls.DIFFERS, "differs", theirs, "ours"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True).stdout

    assert (differs("theirs"), differs("nowhere")) == (b"differs\n", b"")
    (tmp_path / "ours").write_text("new")
    assert differs("theirs") == b""


WHOLE = """\
# Lynis Report
warning[]=DBS-1828|PostgreSQL configuration file is world readable|-|
suggestion[]=SSH-7408|Consider hardening SSH configuration|Port (set 22 to )|-|
hardening_index=81
finish=true
"""


def test_lynis_is_read() -> None:
    report = lynis.read(WHOLE)
    assert report.index == 81
    assert report.lines() == [
        "warning DBS-1828: PostgreSQL configuration file is world readable",
        "SSH-7408: Consider hardening SSH configuration",
    ]


def test_an_audit_that_was_broken_off_is_no_good_one() -> None:
    with pytest.raises(AssertionError, match="no whole report"):
        lynis.read(WHOLE.replace("finish=true", ""))


def told(*found: tuple[str, str]) -> str:
    rows = ", ".join(f'{{"id": "{id}", "severity": "{how}", "finding": "-"}}' for id, how in found)
    return f"[{rows}]"


END = (("TLS1_3", "OK"), ("cert_chain_of_trust", "OK"), ("HSTS_time", "OK"), ("scanTime", "INFO"))


def test_what_testssl_finds_worse_than_low_is_named() -> None:
    report = told(*END, ("cert_revocation", "HIGH"), ("DNS_CAArecord", "LOW"), ("RC4", "HIGH"))
    found = testssl.findings(report)
    assert [each.id for each in testssl.worse_than_low(found)] == ["cert_revocation", "RC4"]
    assert [each.id for each in testssl.worse_than_low(found, testssl.SELF_SIGNED)] == ["RC4"]


def test_a_report_of_testssl_that_is_cut_short_is_no_good_one() -> None:
    with pytest.raises(AssertionError, match="no HSTS_time, scanTime"):
        testssl.findings(told(*END[:2]))
