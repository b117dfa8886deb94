"""By which addresses servers reach each other."""

import socket
from ipaddress import ip_address

from deploy.shell import Failed
from deploy.vps.servers import Fleet


def resolved(fleet: Fleet) -> Fleet:
    """With an address in the place of each name by which servers reach each other: firewalls and
    pg_hba.conf want addresses. One that is alone may be called as ~/.ssh/config has it. Raises
    Failed."""
    if len(fleet.servers) == 1:
        return fleet
    servers = tuple(
        each.model_copy(update={"private": _address(each.private)}) for each in fleet.servers
    )
    return fleet.model_copy(update={"servers": servers})


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
