"""The firewall: what is not let in is dropped. Nobody is locked out by it (revert.py)."""

from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploy.vps.provision.entries import File
from deploy.vps.provision.facts import Said
from deploy.vps.provision.operations import Act, Acts, step, units
from deploy.vps.provision.preflight import About
from deploy.vps.provision.revert import Risky, guarded
from deploy.vps.provision.system import MADE
from deploy.vps.scrape import ports
from deploy.vps.servers import Fleet, Server

PATH = "/etc/nftables.conf"
LOAD = ("nft", "-f", PATH)
# Without our table, or with the one before. A file that is not ours is not loaded: what it has is
# in force still, if it was; Debian's empties everything first, other programs' tables too.
LOAD_OLD = (
    "sh",
    "-c",
    f"nft delete table inet slipway; ! grep -qx 'table inet slipway' {PATH} || exec nft -f {PATH}",
)
INNER = 8080  # nginx of a server with web, to which the balancer talks


def apply(fleet: Fleet, server: Server) -> None:
    about: About = host.data.about
    step("firewall", _firewall, server.user, nftables(fleet, server, {server.port, about.port}))
    step("firewall", units, ["nftables.service"])


@operation()
def _firewall(user: str, rules: str) -> Acts:
    file = File(PATH, rules, mode="755", check=("nft", "-c", "-f"))
    risky = Risky("revert-slipway-firewall", file, "load the rules", LOAD, LOAD_OLD)
    changed = False
    for command in guarded(risky, (user, "deploy")):
        changed = True
        yield command
    if not changed and not host.get_fact(Said, asked=["nft", "list", "table", "inet", "slipway"]):
        yield Act("load the rules", LOAD)


def nftables(fleet: Fleet, server: Server, ssh: Iterable[int]) -> str:
    """The file. `ssh`: ports on which SSH comes in; the addresses of servers are no names."""
    rules = "".join(f"        {rule}\n" for rule in _allowed(fleet, server, ssh))
    return (
        "#!/usr/sbin/nft -f\n" + MADE + "# Only this table: others (of fail2ban, say) are theirs.\n"
        "table inet slipway\n"
        "delete table inet slipway\n"
        "table inet slipway {\n"
        "    chain input {\n"
        "        type filter hook input priority filter; policy drop;\n"
        "        ct state vmap { established : accept, related : accept, invalid : drop }\n"
        '        iif "lo" accept\n'
        # Path MTU and neighbours: without them IPv6 does not work at all.
        "        meta l4proto { icmp, ipv6-icmp } accept\n"
        "        ip6 saddr fe80::/10 udp dport 546 accept\n"
        f"{rules}"
        "    }\n"
        "    chain forward {\n"
        "        type filter hook forward priority filter; policy drop;\n"
        "    }\n"
        "}\n"
    )


def _allowed(fleet: Fleet, server: Server, ssh: Iterable[int]) -> Iterator[str]:
    yield f"tcp dport {{ {', '.join(map(str, sorted(set(ssh))))} }} accept"
    if server == fleet.front:
        yield "tcp dport { 80, 443 } accept"
    if server.has("web") and fleet.balancer and fleet.balancer != server:
        yield from _from([fleet.balancer], INNER)
    if server.has("database"):
        yield from _from(clients(fleet, server), 5432)
    if server.has("redis"):
        yield from _from(clients(fleet, server), 6379)
    for port in ports(fleet, server).values():
        yield from _from_addresses(fleet.monitoring.prometheus, port)


def clients(fleet: Fleet, server: Server) -> list[Server]:
    """The other servers that run the service's code, which needs the database and Redis."""
    return [
        each for each in fleet.servers if each != server and (each.has("web") or each.has("worker"))
    ]


def _from(servers: Iterable[Server], port: int) -> Iterator[str]:
    yield from _from_addresses((each.private for each in servers), port)


def _from_addresses(given: Iterable[str], port: int) -> Iterator[str]:
    addresses = [ip_address(each) for each in given]
    for version, word in ((4, "ip"), (6, "ip6")):
        if found := sorted(each for each in addresses if each.version == version):
            listed = ", ".join(map(str, found))
            yield f"{word} saddr {{ {listed} }} tcp dport {port} accept"
