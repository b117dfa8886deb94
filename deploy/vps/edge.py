"""nginx of a server, as text: what its roles make of deploy/nginx. Nothing is done here.

Three kinds, of which one server may have two: `direct` (TLS, and web on this server), `inner` (web,
asked by the balancer on 8080) and `balancer` (TLS, and the servers with web).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import combinations
from pathlib import Path
from typing import Literal

from deploy.shell import Failed
from deploy.vps.scrape import PORTS
from deploy.vps.settings import Fleet, Server

NGINX = Path(__file__).resolve().parent.parent / "nginx"
FLAGS = "/srv/slipway/edge"
CERTIFICATE = "/etc/slipway/tls/fullchain.pem"
KEY = "/etc/slipway/tls/privkey.pem"
INNER_PORT = 8080

Kind = Literal["direct", "inner", "balancer"]


@dataclass(frozen=True)
class Nginx:
    """The nginx that is to read it."""

    version: tuple[int, ...]
    ipv6: bool = True  # whether the machine has it

    @property
    def http2_is_a_directive(self) -> bool:
        return self.version >= (1, 25, 1)

    @property
    def keeps_idle_connections(self) -> bool:
        """For a while after a reload, under a request that is on its way."""
        return self.version >= (1, 27, 4)


def version(said: str) -> tuple[int, ...]:
    """Of what `nginx -v` says. Raises Failed."""
    if found := re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", said):
        return tuple(map(int, found.groups()))
    raise Failed(f"nginx -v says no version: {said.strip()!r}")


def kinds(fleet: Fleet, server: Server) -> tuple[Kind, ...]:
    """What nginx is for on this server; nothing where it is not needed."""
    if fleet.balancer is None:
        return ("direct",) if server.has("web") else ()
    found: list[Kind] = ["balancer"] if server == fleet.balancer else []
    return (*found, "inner") if server.has("web") else tuple(found)


def files(
    fleet: Fleet, server: Server, nginx: Nginx, balancer: Iterable[str] = ()
) -> dict[str, str]:
    """All of /etc/nginx that is ours, by name; `balancer` is the addresses that it asks from."""
    if not kinds(fleet, server):
        return {}
    shared = (path for path in sorted(NGINX.glob("*.conf")) if path.name not in _OTHERS)
    made = {path.name: path.read_text() for path in shared}
    made["nginx.conf"] = made.pop("vps.conf")
    made["site.conf"] = site(fleet, server, nginx, balancer)
    if "balancer" in kinds(fleet, server):
        made["out.conf"] = out(fleet.with_role("web"))
    return made


_OTHERS = ("compose.conf", "production.conf")


def site(fleet: Fleet, server: Server, nginx: Nginx, balancer: Iterable[str] = ()) -> str:
    """Upstreams and server blocks."""
    found = kinds(fleet, server)
    parts = ["# Written by `python -m deploy vps provision`, of deploy/servers.toml.\n"]
    if nginx.keeps_idle_connections:
        parts.append("keepalive_min_timeout 5s;\n")
    if "direct" in found or "inner" in found:
        parts.append("include colours.conf;\n")
    if "direct" in found:
        parts += front(fleet, nginx, "include colour.conf;")
    if "balancer" in found:
        parts += upstreams(fleet.with_role("web"))
        again = "proxy_next_upstream error timeout http_502;"  # unreachable.conf
        parts += front(fleet, nginx, "include out.conf;", again)
    if "inner" in found:
        parts += inner(nginx, balancer)
    if fleet.monitoring.prometheus and server.has("web"):
        parts.append(measured(nginx, fleet.monitoring.prometheus))
    return "\n".join(parts)


def front(fleet: Fleet, nginx: Nginx, *upstream: str) -> Iterator[str]:
    """Where users ask."""
    if fleet.tls == "none":
        yield block(*listen(nginx, 80, default=True), *upstream, *SERVICE)
        return
    yield block(
        *listen(nginx, 80, default=True),
        *upstream,
        "include plain.conf;",
        f"location / {{ return 308 https://{_in_url(fleet.domain)}$request_uri; }}",
    )
    named = not _is_address(fleet.domain)  # who asks for an address sends no name
    if named:
        yield block(
            *listen(nginx, 443, tls=True, default=True),
            "include tls.conf;",
            "ssl_reject_handshake on;  # who asks for another name, or none",
            "include misdirected.conf;",
        )
    yield block(
        *listen(nginx, 443, tls=True, default=not named),
        *([f"server_name {fleet.domain};"] if named else []),
        f"ssl_certificate {CERTIFICATE};",
        f"ssl_certificate_key {KEY};",
        "include tls.conf;",
        *upstream,
        *SERVICE,
    )


SERVICE = ("include maintenance.conf;", "include sign_in.conf;", "include service.conf;")


def upstreams(web: tuple[Server, ...]) -> Iterator[str]:
    """One for each set of servers that may be out."""
    for out in _sets(web):
        yield upstream(web, out)
    yield _braced(f"upstream {_without(web)}", [f"server 127.0.0.1:{INNER_PORT} down;"])


def upstream(web: tuple[Server, ...], out: tuple[Server, ...]) -> str:
    name = _without(out)
    servers = [
        f"server {_in_url(each.private)}:{INNER_PORT} max_fails=2 fail_timeout=5s;"
        for each in web
        if each not in out
    ]
    options = [
        f"zone {name} 64k;",
        "least_conn;",
        *servers,
        "keepalive 64;",
        "keepalive_timeout 60s;  # shorter than the other nginx's",
    ]
    return _braced(f"upstream {name}", options)


def out(web: tuple[Server, ...]) -> str:
    """Which of the upstreams a request goes to: a server whose flag lies there is out."""
    lines = ["# Which servers are out of the balancer, asked of the disk at each request.", ""]
    lines += ["set $upstream web;", 'set $out "web";']
    for each in web:
        flag = f"{FLAGS}/out-{each.name}"
        lines.append(f'if (-f {flag}) {{ set $out "${{out}}_{each.name}"; }}')
    for name in (*map(_without, _sets(web)), _without(web)):
        lines.append(f"if ($out = {name}) {{ set $upstream {name}; }}")
    return "\n".join([*lines, ""])


def _sets(web: tuple[Server, ...]) -> Iterator[tuple[Server, ...]]:
    """Those that may be out while one at least is in; there are not too many (rules.py)."""
    for count in range(len(web)):
        yield from combinations(web, count)


def _without(servers: Iterable[Server]) -> str:
    """Of the upstream that lacks these. No server's name has a _ in it."""
    return "_".join(["web", *(each.name for each in servers)])


def inner(nginx: Nginx, balancer: Iterable[str]) -> Iterator[str]:
    """web, for the balancer only, whose word about the client is believed."""
    trusted = sorted(balancer)
    allowed = {"default": 0, "127.0.0.1": 1, "::1": 1, **dict.fromkeys(trusted, 1)}
    lines = [f"{address} {yes};" for address, yes in allowed.items()]
    yield _braced("geo $realip_remote_addr $from_balancer", lines)
    yield block(
        *listen(nginx, INNER_PORT, default=True),
        "if ($from_balancer = 0) { return 444; }  # the firewall refuses them too",
        *(f"set_real_ip_from {address};" for address in trusted),
        "real_ip_header X-Forwarded-For;",
        "include colour.conf;",
        "include maintenance.conf;",
        "include unreachable.conf;",
        "include service.conf;",
    )


def measured(nginx: Nginx, prometheus: Iterable[str]) -> str:
    """/metrics of the colour that serves, for Prometheus only."""
    return block(
        *listen(nginx, PORTS["web"], default=True),
        "access_log off;",
        "include colour.conf;",
        "location / { return 404; }",
        "location = /metrics {",
        *(f"    allow {address};" for address in sorted(prometheus)),
        "    deny all;  # the firewall refuses them too",
        "    proxy_pass http://$upstream;",
        "    proxy_http_version 1.1;",
        '    proxy_set_header Connection "";',
        *(f'    proxy_set_header X-Forwarded-{name} "";' for name in ("For", "Host", "Proto")),
        "}",
    )


def listen(nginx: Nginx, port: int, *, tls: bool = False, default: bool = False) -> Iterator[str]:
    """The lines by which a server block listens; nginx 1.25.1 moved http2 to one of its own."""
    words = ["ssl"] if tls else []
    words += ["http2"] if tls and not nginx.http2_is_a_directive else []
    words += ["default_server"] if default else []
    for address in (f"{port}", *([f"[::]:{port}"] if nginx.ipv6 else [])):
        yield " ".join(["listen", address, *words]) + ";"
    if tls and nginx.http2_is_a_directive:
        yield "http2 on;"


def block(*lines: str) -> str:
    return _braced("server", lines)


def _braced(head: str, lines: Iterable[str]) -> str:
    return "\n".join([f"{head} {{", *(f"    {line}" for line in lines), "}", ""])


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _in_url(host: str) -> str:
    """IPv6 addresses stand in brackets."""
    return f"[{host}]" if ":" in host else host
