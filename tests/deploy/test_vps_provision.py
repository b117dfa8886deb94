"""What provisioning writes on a server: the files, as they come out."""

import json
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy.shell import Failed
from deploy.vps.provision import firewall, postgres, program, redis, services, users
from deploy.vps.provision.addresses import resolved
from deploy.vps.provision.entries import Entry, File
from deploy.vps.provision.preflight import About, steps
from deploy.vps.provision.secrets import Secrets, keepers
from deploy.vps.provision.services import gone_files, unit_files
from deploy.vps.provision.system import MADE
from deploy.vps.servers import Fleet, Role, Server

GIB = 1024**2  # KiB
ALL: tuple[Role, ...] = ("web", "worker", "database", "redis")
SECRETS = Secrets(database="d0", redis="4ed", jwt="777", smoke="550", metrics="3e7")


def server(name: str, *roles: Role, private: str = "10.0.0.1") -> Server:
    return Server(name=name, address=f"{name}.example.com", private=private, roles=roles)


def fleet(*servers: Server, **more: object) -> Fleet:
    said = {"domain": "api.example.com", "tls": "letsencrypt", "keys": ("ssh-ed25519 AAAA alice",)}
    return Fleet.model_validate({**said, "servers": servers, **more})


ONE = server("one", *ALL)
FRONT = server("front", "balancer", "database", "redis", private="10.0.0.1")
WEB = server("web", "web", "worker", private="10.0.0.2")
WORKER = server("worker", "worker", private="fd00::3")
THREE = fleet(FRONT, WEB, WORKER)


def contents(entries: Sequence[Entry]) -> dict[str, str]:
    return {each.path: each.content for each in entries if isinstance(each, File)}


def rules(of: Fleet, on: Server, ports: set[int]) -> list[str]:
    """The lines that are about ports."""
    lines = firewall.nftables(of, on, ports).splitlines()
    return [line.strip() for line in lines if "tcp dport" in line]


def test_the_firewall_of_one_server_lets_in_ssh_and_http() -> None:
    assert firewall.nftables(fleet(ONE), ONE, {22}) == (
        "#!/usr/sbin/nft -f\n" + MADE + "# Only this table: others (of fail2ban, say) are theirs.\n"
        "table inet slipway\n"
        "delete table inet slipway\n"
        "table inet slipway {\n"
        "    chain input {\n"
        "        type filter hook input priority filter; policy drop;\n"
        "        ct state vmap { established : accept, related : accept, invalid : drop }\n"
        '        iif "lo" accept\n'
        "        meta l4proto { icmp, ipv6-icmp } accept\n"
        "        ip6 saddr fe80::/10 udp dport 546 accept\n"
        "        tcp dport { 22 } accept\n"
        "        tcp dport { 80, 443 } accept\n"
        "    }\n"
        "    chain forward {\n"
        "        type filter hook forward priority filter; policy drop;\n"
        "    }\n"
        "}\n"
    )


@pytest.mark.parametrize(
    ("on", "ports", "expected"),
    [
        (
            FRONT,
            {22},
            [
                "tcp dport { 22 } accept",
                "tcp dport { 80, 443 } accept",
                "ip saddr { 10.0.0.2 } tcp dport 5432 accept",
                "ip6 saddr { fd00::3 } tcp dport 5432 accept",
                "ip saddr { 10.0.0.2 } tcp dport 6379 accept",
                "ip6 saddr { fd00::3 } tcp dport 6379 accept",
            ],
        ),
        (WEB, {22}, ["tcp dport { 22 } accept", "ip saddr { 10.0.0.1 } tcp dport 8080 accept"]),
        # The port that SSH comes in by, though settings name another (a router between).
        (WORKER, {2222, 22}, ["tcp dport { 22, 2222 } accept"]),
    ],
    ids=["balancer and data", "web behind it", "worker"],
)
def test_a_server_lets_others_in_where_they_need_it(
    on: Server, ports: set[int], expected: list[str]
) -> None:
    assert rules(THREE, on, ports) == expected


def allowed(text: str) -> list[str]:
    """The rows of pg_hba.conf; how wide its columns are depends on the product's name."""
    assert text.startswith(MADE)
    return [" ".join(line.split()) for line in text.removeprefix(MADE).splitlines()]


def test_postgresql_of_one_server_is_for_that_server_only() -> None:
    assert allowed(postgres.pg_hba(fleet(ONE), ONE)) == [
        "local all postgres peer",
        "host all slipway 127.0.0.1/32 scram-sha-256",
    ]
    assert "listen_addresses = '127.0.0.1'\n" in postgres.settings(fleet(ONE), ONE, GIB)


def test_other_servers_reach_postgresql_encrypted() -> None:
    assert allowed(postgres.pg_hba(THREE, FRONT)) == [
        "local all postgres peer",
        "host all slipway 127.0.0.1/32 scram-sha-256",
        "hostssl slipway slipway 10.0.0.2/32 scram-sha-256",
        "hostssl slipway slipway fd00::3/128 scram-sha-256",
    ]
    assert "listen_addresses = '127.0.0.1,10.0.0.1'\n" in postgres.settings(THREE, FRONT, GIB)


@pytest.mark.parametrize(
    ("memory", "shared", "cache"), [(GIB, "256MB", "512MB"), (8 * GIB, "2048MB", "4096MB")]
)
def test_postgresql_takes_a_quarter_of_the_memory(memory: int, shared: str, cache: str) -> None:
    said = postgres.settings(fleet(ONE), ONE, memory)
    assert f"shared_buffers = '{shared}'\n" in said
    assert f"effective_cache_size = '{cache}'\n" in said


@pytest.mark.parametrize("memory", [2_030_000, 2 * GIB, 2 * GIB + 32 * 1024, 4 * GIB, 24_105_000])
def test_a_kernel_that_says_a_little_less_memory_changes_nothing(memory: int) -> None:
    for less in (memory - 4000, memory - 1, memory, memory + 4000):
        assert steps(memory)[0] in steps(less)


def test_redis_keeps_what_it_has_and_tells_its_password_to_nobody_else() -> None:
    entries = redis.redis_files(fleet(ONE), ONE, About(memory=2 * GIB), SECRETS)
    found = contents(entries)
    lines = found["/etc/redis/slipway.conf"].splitlines()
    assert {"bind 127.0.0.1", "appendonly yes", "maxmemory-policy noeviction"} <= {*lines}
    assert 'rename-command FLUSHALL ""' in lines
    assert "maxmemory 307mb" in lines
    (secret,) = [each for each in entries if each.path == redis.SECRET and isinstance(each, File)]
    assert (secret.content, secret.mode, secret.group) == ("requirepass 4ed\n", "640", "redis")
    assert "4ed" not in repr(SECRETS)
    assert redis.settings(THREE, FRONT, GIB).count("bind 127.0.0.1 10.0.0.1\n") == 1


def test_operators_may_do_what_deploy_may_and_ci_may_release() -> None:
    both = fleet(ONE, ci_keys=("ssh-ed25519 BBBB ci",))
    assert users.authorized_keys(both) == MADE + (
        "ssh-ed25519 AAAA alice\n"
        'restrict,command="/usr/local/bin/slipway ssh" ssh-ed25519 BBBB ci\n'
    )


def test_deploy_may_become_the_service_and_call_one_program_as_root() -> None:
    lines = [line for line in users.SUDOERS.splitlines() if line.startswith("deploy ")]
    assert lines == [
        "deploy ALL=(slipway) NOPASSWD: ALL",
        "deploy ALL=(root) NOPASSWD: /usr/local/sbin/slipway-root",
    ]


def test_a_server_knows_what_it_is() -> None:
    assert json.loads(program.document(THREE, WEB)) == {
        "server": "web",
        "servers": 3,
        "names": ["front", "web", "worker"],
        "roles": ["web", "worker"],
        "domain": "api.example.com",
        "tls": "letsencrypt",
        "branch": "main",
        "repository": None,
        "keep": 5,
        "database": "front",
        "web_servers": ["web"],
        "behind_balancer": True,
        "backups": {"keep_days": 14, "copy_to": None},
    }


def test_secrets_are_made_where_they_are_used() -> None:
    assert keepers(fleet(ONE)) == {"one": ("database", "redis", "jwt", "smoke", "metrics")}
    data = server("data", "database")
    cache = server("cache", "redis")
    assert keepers(fleet(WEB, data, cache)) == {
        "data": ("database", "jwt", "smoke", "metrics"),
        "cache": ("redis",),
    }
    assert keepers(fleet(WEB)) == {"web": ("jwt", "smoke", "metrics")}


def test_a_server_has_the_units_of_its_roles_and_no_others() -> None:
    entries = unit_files(THREE, WORKER)
    there = {Path(each.path).name for each in entries if isinstance(each, File)}
    gone = {Path(each.path).name for each in gone_files(WORKER.roles)}
    assert {"slipway-worker.service", "slipway-scheduler.service"} <= there
    assert {"slipway-web@.service", "slipway-backup.timer"} <= gone
    assert not there & gone


def test_the_back_up_is_made_at_the_hour_that_was_asked_for() -> None:
    text = contents(unit_files(fleet(ONE, backups={"at": "04:20"}), ONE))
    path = "/etc/systemd/system/slipway-backup.timer.d/at.conf"
    assert text[path] == MADE + "[Timer]\nOnCalendar=\nOnCalendar=*-*-* 04:20 UTC\n"


def test_names_of_servers_become_addresses() -> None:
    named = server("one", *ALL, private="localhost")
    assert resolved(fleet(named, WEB)).servers[0].private in ("127.0.0.1", "::1")
    assert resolved(fleet(named)).servers == (named,)  # nobody else has to find it


def test_a_name_that_leads_to_a_public_address_is_no_private_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [(0, 0, 0, "", ("8.8.8.8", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(Failed, match=r"one\.private: is needed where there are several"):
        resolved(fleet(server("one", *ALL, private="db.example.com"), WEB))


def test_names_that_lead_to_one_address_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(0, 0, 0, "", ("10.0.0.2", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(Failed) as failure:
        resolved(fleet(server("one", *ALL, private="db.example.com"), WEB))
    assert str(failure.value).splitlines() == [
        f"deploy/servers.toml: servers.{name}.private: 10.0.0.2 is another server's too,"
        " by which the others reach that"
        for name in ("one", "web")
    ]


@pytest.mark.parametrize(("role", "is_verified"), [("balancer", False), ("worker", True)])
def test_systemd_is_asked_of_units_only_where_there_are_any(
    role: Role, is_verified: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails without one: a balancer has drop-ins alone."""
    given: list[object] = []
    monkeypatch.setattr(services, "step", lambda *words: given.extend(words))
    services.apply(THREE, server("alone", role))
    verify = [each for each in given if isinstance(each, list) and "verify" in each]
    assert bool(verify) == is_verified
    assert ["systemctl", "daemon-reload"] in given
