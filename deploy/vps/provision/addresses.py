"""By which addresses servers reach each other."""

import socket
from ipaddress import ip_address

from deploy.shell import Failed
from deploy.vps.rules import is_public, private_twice, private_wanted
from deploy.vps.servers import FILE, Fleet, Server


def resolved(fleet: Fleet) -> Fleet:
    """With an address in the place of each name by which servers reach each other: firewalls and
    pg_hba.conf want addresses. One that is alone may be called as ~/.ssh/config has it. Raises
    Failed."""
    if len(fleet.servers) == 1 and not fleet.monitoring.prometheus:
        return fleet
    servers = tuple(each.model_copy(update={"private": _private(each)}) for each in fleet.servers)
    found = fleet.model_copy(update={"servers": servers})
    if wrong := list(private_twice(found)):
        lines = [f"{FILE}: {'.'.join(map(str, path))}: {said}" for path, said in wrong]
        raise Failed("\n".join(lines))
    return found


def _private(server: Server) -> str:
    """What a name leads to is known only here, and not when the file is read."""
    found = _address(server.private)
    if is_public(found):
        said = private_wanted(f"{server.private}, which leads to {found},")
        raise Failed(f"{FILE}: servers.{server.name}.private: {said}")
    return found


def _address(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise Failed(
            f"the name {host} is not found ({error.strerror}): is it written as in"
            " deploy/servers.toml, and does this machine resolve names?"
        ) from None
