"""nginx of servers of one's own: what the roles of a server make of deploy/nginx."""

import pytest

from deploy.shell import Failed
from deploy.vps import edge
from deploy.vps.edge import Kind, Nginx
from deploy.vps.servers import Fleet, Role, Server

BOOKWORM = Nginx((1, 22, 1))
NEW = Nginx((1, 30, 0), ipv6=False)
ALL: tuple[Role, ...] = ("web", "worker", "database", "redis", "balancer")


def server(name: str, *roles: Role) -> Server:
    address = f"10.0.0.{int(name[-1])}"
    return Server(name=name, address=address, private=address, roles=roles)


def fleet(*servers: Server, domain: str = "api.example.com", tls: str = "letsencrypt") -> Fleet:
    given = {"domain": domain, "tls": tls, "keys": ("-",), "servers": servers}
    return Fleet.model_validate(given)


ONE = fleet(server("web1", *ALL))
THREE = fleet(
    server("web1", *ALL), server("web2", "web", "worker"), server("web3", "web", "worker")
)
APART = fleet(
    server("edge1", "balancer", "redis"), server("web2", "web"), server("data3", "database")
)

DIRECT = """\
# Written by `python -m deploy vps provision`, of deploy/servers.toml.

include colours.conf;

server {
    listen 80 default_server;
    listen [::]:80 default_server;
    include colour.conf;
    include plain.conf;
    location / { return 308 https://api.example.com$request_uri; }
}

server {
    listen 443 ssl http2 default_server;
    listen [::]:443 ssl http2 default_server;
    include tls.conf;
    ssl_reject_handshake on;  # who asks for another name, or none
    include misdirected.conf;
}

server {
    listen 443 ssl http2;
    listen [::]:443 ssl http2;
    server_name api.example.com;
    ssl_certificate /etc/slipway/tls/fullchain.pem;
    ssl_certificate_key /etc/slipway/tls/privkey.pem;
    include tls.conf;
    include colour.conf;
    include maintenance.conf;
    include sign_in.conf;
    include service.conf;
}
"""

INNER = """\
# Written by `python -m deploy vps provision`, of deploy/servers.toml.

keepalive_min_timeout 5s;

include colours.conf;

geo $realip_remote_addr $from_balancer {
    default 0;
    127.0.0.1 1;
    ::1 1;
    10.0.0.1 1;
}

server {
    listen 8080 default_server;
    if ($from_balancer = 0) { return 444; }  # the firewall refuses them too
    set_real_ip_from 10.0.0.1;
    real_ip_header X-Forwarded-For;
    include colour.conf;
    include maintenance.conf;
    include unreachable.conf;
    include service.conf;
}
"""

OUT = """\
# Which servers are out of the balancer, asked of the disk at each request.

set $upstream web;
set $out "web";
if (-f /srv/slipway/edge/out-web1) { set $out "${out}_web1"; }
if (-f /srv/slipway/edge/out-web2) { set $out "${out}_web2"; }
if (-f /srv/slipway/edge/out-web3) { set $out "${out}_web3"; }
if ($out = web) { set $upstream web; }
if ($out = web_web1) { set $upstream web_web1; }
if ($out = web_web2) { set $upstream web_web2; }
if ($out = web_web3) { set $upstream web_web3; }
if ($out = web_web1_web2) { set $upstream web_web1_web2; }
if ($out = web_web1_web3) { set $upstream web_web1_web3; }
if ($out = web_web2_web3) { set $upstream web_web2_web3; }
if ($out = web_web1_web2_web3) { set $upstream web_web1_web2_web3; }
"""

WITHOUT_WEB2 = """\
upstream web_web2 {
    zone web_web2 64k;
    least_conn;
    server 10.0.0.1:8080 max_fails=2 fail_timeout=5s;
    server 10.0.0.3:8080 max_fails=2 fail_timeout=5s;
    keepalive 64;
    keepalive_timeout 60s;  # shorter than the other nginx's
}
"""


@pytest.mark.parametrize(
    ("given", "name", "expected"),
    [
        (ONE, "web1", ("direct",)),
        (THREE, "web1", ("balancer", "inner")),
        (THREE, "web2", ("inner",)),
        (APART, "edge1", ("balancer",)),
        (APART, "data3", ()),
    ],
)
def test_what_nginx_is_for(given: Fleet, name: str, expected: tuple[Kind, ...]) -> None:
    assert edge.kinds(given, of(given, name)) == expected


def test_a_server_alone() -> None:
    assert edge.site(ONE, ONE.servers[0], BOOKWORM) == DIRECT


def test_a_server_behind_a_balancer() -> None:
    assert edge.site(THREE, of(THREE, "web2"), NEW, ["10.0.0.1"]) == INNER


def test_each_set_of_servers_that_may_be_out_has_an_upstream() -> None:
    files = edge.files(THREE, of(THREE, "web1"), NEW, ["10.0.0.1"])
    assert files["out.conf"] == OUT
    assert files["site.conf"].count("\nupstream ") == 8
    assert WITHOUT_WEB2 in files["site.conf"]
    assert "upstream web_web1_web2_web3 {\n    server 127.0.0.1:8080 down;\n}" in files["site.conf"]


def test_newer_ones_spell_http2_apart() -> None:
    site = edge.site(ONE, ONE.servers[0], NEW)
    assert "    listen 443 ssl default_server;\n    http2 on;\n" in site
    assert " http2 default_server" not in site


def test_without_tls_all_is_on_port_80() -> None:
    plain = fleet(server("web1", *ALL), tls="none")
    site = edge.site(plain, plain.servers[0], NEW)
    assert "ssl" not in site and "308" not in site
    assert "    listen 80 default_server;\n    include colour.conf;\n" in site


@pytest.mark.parametrize(
    ("domain", "in_url"), [("203.0.113.7", "203.0.113.7"), ("2001:db8::7", "[2001:db8::7]")]
)
def test_who_asks_for_an_address_sends_no_name(domain: str, in_url: str) -> None:
    numbered = fleet(server("web1", *ALL), domain=domain, tls="self-signed")
    site = edge.site(numbered, numbered.servers[0], NEW)
    assert "ssl_reject_handshake" not in site and "server_name" not in site
    assert f"return 308 https://{in_url}$request_uri;" in site


def test_all_that_is_included_is_there() -> None:
    for name in ("web1", "web2"):
        files = edge.files(THREE, of(THREE, name), NEW)
        included = {
            line.split()[1].rstrip(";")
            for text in files.values()
            for line in text.splitlines()
            if line.strip().startswith("include ")
        }
        assert included <= set(files)
    assert edge.files(APART, of(APART, "data3"), NEW) == {}


@pytest.mark.parametrize(
    ("said", "expected"),
    [("nginx version: nginx/1.22.1\n", (1, 22, 1)), ("nginx/1.24.0 (Ubuntu)", (1, 24, 0))],
)
def test_the_version_is_read(said: str, expected: tuple[int, ...]) -> None:
    assert edge.version(said) == expected


def test_a_version_that_cannot_be_read_is_shown() -> None:
    with pytest.raises(Failed, match="nginx -v says no version: 'sh: not found'"):
        edge.version("sh: not found\n")


def of(given: Fleet, name: str) -> Server:
    return next(each for each in given.servers if each.name == name)
