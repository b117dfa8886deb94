"""What deploy/servers.toml must not say at once."""

import re
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address

from deploy.vps.servers import MOST_WEB_SERVERS, Fleet, Role

KeyPath = tuple[str | int, ...]

_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*", re.IGNORECASE)
_COPY = re.compile(r"[a-z_][a-z0-9_-]*@[A-Za-z0-9.:-]+:/[A-Za-z0-9._/-]+")
_BRANCH = re.compile(r"(?!/|-)[A-Za-z0-9._/-]{1,100}(?<!/)")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_AT = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


def contradictions(fleet: Fleet) -> Iterator[tuple[KeyPath, str]]:
    yield from _addressed(fleet)
    yield from private_twice(fleet)
    yield from _spelt_wrong(fleet)
    webs = fleet.with_role("web")
    needed: tuple[Role, ...] = ("web", "worker")
    for role in needed:
        if not fleet.with_role(role):
            yield ("servers",), f"none has the role {role}"
    single: tuple[Role, ...] = ("database", "redis", "balancer")
    for role in single:
        for another in fleet.with_role(role)[1:]:
            yield ("servers", another.name, "roles"), f"{role} is another server's: one has it"
    if len(webs) > 1 and not fleet.with_role("balancer"):
        yield ("servers",), f"{len(webs)} have the role web: one needs the role balancer"
    if fleet.balancer:
        for another in webs[MOST_WEB_SERVERS:]:
            yield (
                ("servers", another.name, "roles"),
                f"{len(webs)} have the role web, and the balancer takes {MOST_WEB_SERVERS}: have"
                " fewer and larger ones, or a provider's balancer",
            )
    for server in fleet.servers:
        if len(set(server.roles)) < len(server.roles):
            yield ("servers", server.name, "roles"), "has one twice"


def _addressed(fleet: Fleet) -> Iterator[tuple[KeyPath, str]]:
    doors = Counter((each.address, each.port) for each in fleet.servers)
    for server in fleet.servers:
        path = ("servers", server.name)
        if not _NAME.fullmatch(server.name):
            yield path, "a name has small letters, digits and -, and begins with a letter"
        for field in ("address", "private"):
            if not is_host(getattr(server, field)):
                yield (*path, field), f"is {getattr(server, field)!r}: no host's name or address"
        if server.address.startswith("203.0.113."):
            yield (*path, "address"), "is the example's: put in your server's"
        if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", server.user):
            yield (*path, "user"), f"is {server.user!r}: no user's name"
        if doors[server.address, server.port] > 1:
            yield (*path, "address"), f"{server.address} is another server's too"
        talks = len(fleet.servers) > 1 or fleet.monitoring.prometheus
        if talks and is_public(server.private):
            yield (*path, "private"), private_wanted(server.private)


def private_twice(fleet: Fleet) -> Iterator[tuple[KeyPath, str]]:
    """Firewalls and nginx would take one server for another."""
    times = Counter(each.private for each in fleet.servers)
    for server in fleet.servers:
        if times[server.private] > 1:
            yield (
                ("servers", server.name, "private"),
                f"{server.private} is another server's too, by which the others reach that",
            )


def _spelt_wrong(fleet: Fleet) -> Iterator[tuple[KeyPath, str]]:
    if not is_host(fleet.domain):
        yield ("domain",), f"is {fleet.domain!r}: no host's name; no scheme, no path"
    if fleet.tls == "letsencrypt":
        if "." not in fleet.domain or _is_address(fleet.domain):
            yield ("domain",), f"is {fleet.domain!r}, where Let's Encrypt wants a public name"
        if not fleet.email or "@" not in fleet.email:
            yield ("email",), "is needed by Let's Encrypt, which warns there"
    if not _BRANCH.fullmatch(fleet.branch) or ".." in fleet.branch:
        yield ("branch",), f"is {fleet.branch!r}: no branch's name"
    if fleet.repository and not re.match(r"(https|ssh)://|[\w.-]+@[\w.-]+:|/", fleet.repository):
        yield ("repository",), "is to begin with https://, ssh:// or user@host:"
    if not _AT.fullmatch(fleet.backups.at):
        yield ("backups", "at"), f"is {fleet.backups.at!r}: HH:MM, in UTC, is allowed"
    for number, each in enumerate(fleet.monitoring.prometheus):
        if not _is_address(each):
            yield (
                ("monitoring", "prometheus", number),
                f"is {each!r}: an address is needed, as the firewall asks no name",
            )
    if fleet.backups.copy_to and not _COPY.fullmatch(fleet.backups.copy_to):
        yield ("backups", "copy_to"), "is to be user@host:/folder"


def is_host(text: str) -> bool:
    return _is_address(text) or bool(_HOST.fullmatch(text))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_public(text: str) -> bool:
    return _is_address(text) and ip_address(text).is_global


def private_wanted(address: str) -> str:
    return (
        "is needed where there are several, or a Prometheus: their address on a network of their"
        f" own, as neither Redis' traffic nor what is measured is encrypted ({address} is public)"
    )
