"""nginx of servers of one's own, on this machine: each kind of server, and what differs here."""

import re
from pathlib import Path

from deploy.vps.servers import Fleet, Monitoring, Server
from tests.ports import free_port


def kinds_of_servers() -> dict[str, tuple[Fleet, Server]]:
    one = Server(name="one", address="127.0.0.2", private="127.0.0.2", roles=("web", "balancer"))
    two = Server(name="two", address="127.0.0.3", private="127.0.0.3", roles=("web",))
    given = {"domain": "api.example.com", "keys": ("-",)}
    asked = Monitoring(prometheus=("10.0.0.9", "fd00::9"))
    alone = Fleet(tls="letsencrypt", servers=(one,), monitoring=asked, **given)
    plain = Fleet(tls="none", servers=(one,), **given)
    both = Fleet(tls="self-signed", servers=(one, two), **given)
    return {
        "direct": (alone, one),
        "plain": (plain, one),
        "balancer": (both, one),
        "inner": (both, two),
    }


def here(text: str, folder: Path) -> str:
    """Settings of a server, as this machine can try them: its files, its ports, no user."""
    text = re.sub(r"^user .*;", "", text, flags=re.M)
    text = text.replace("/run/nginx.pid", "nginx.pid").replace("/var/log/nginx/", "")
    text = text.replace("/etc/slipway/tls/", f"{folder}/")
    return re.sub(r"listen \d+(?=[ ;])", lambda _: f"listen 127.0.0.1:{free_port()}", text)
