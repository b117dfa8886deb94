"""An ACME authority of the lab: pebble, which Let's Encrypt has made for tests.

It looks for a name's answer at port 80 of the address that its own /etc/hosts gives the name.
"""

import json
import shlex
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.deploy.servers.fleet import Fleet
from tests.deploy.servers.lab import Server
from tests.waiting import until

NAME = "authority"
DAYS = 20  # fewer than certbot lets pass before it renews
SETTINGS = {
    "listenAddress": "0.0.0.0:14000",
    "managementListenAddress": "0.0.0.0:15000",
    "certificate": "/etc/pebble.pem",
    "privateKey": "/etc/pebble.key",
    "httpPort": 80,
    "tlsPort": 443,
    "certificateValidityPeriod": DAYS * 86400,
}
# By default it refuses one good nonce in twenty, to try clients; certbot asks again only once.
SET_UP = f"""
set -e
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends pebble >/dev/null
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN={NAME} \
    -addext subjectAltName=DNS:{NAME} -keyout /etc/pebble.key -out /etc/pebble.pem 2>/dev/null
echo {shlex.quote(json.dumps({"pebble": SETTINGS}))} >/etc/pebble.json
cp /etc/hosts /etc/hosts.before
systemd-run --quiet --unit pebble --setenv PEBBLE_VA_NOSLEEP=1 --setenv PEBBLE_AUTHZREUSE=0 \
    --setenv PEBBLE_WFE_NONCEREJECT=0 pebble -config /etc/pebble.json
"""
# What certbot reads of root's, beside what is the package's.
CERTBOT = "/root/.config/letsencrypt/cli.ini"


class Authority:
    def __init__(self, server: Server) -> None:
        self._server = server
        server.sh(SET_UP)
        self.root = until(lambda: self._ask("roots/0"))

    def _ask(self, path: str) -> str:
        return self._server.sh(f"curl -fsk https://localhost:15000/{path}", check=False)

    def leads(self, domain: str, server: Server) -> None:
        """From now on the name leads to the server."""
        self._server.sh(f"echo {server.address} {domain} >>/etc/hosts")
        time.sleep(5)  # for so long pebble, which is Go's, believes what it has read of the file

    def leads_nowhere(self) -> None:
        """No name leads to a server any more."""
        self._server.sh("cat /etc/hosts.before >/etc/hosts")  # Docker's mount: it stays that file

    @contextmanager
    def trusted_by(self, server: Server) -> Iterator[None]:
        """certbot of the server asks this authority, and nothing is left of what it was given."""
        ours = self._server.sh("cat /etc/pebble.pem")
        trust = f"/usr/local/share/ca-certificates/{NAME}.crt"
        server.sh(
            f"echo {shlex.quote(ours)} >{trust}; update-ca-certificates >/dev/null 2>&1;"
            f" mkdir -p $(dirname {CERTBOT});"
            f" echo server = https://{NAME}:14000/dir >{CERTBOT}"
        )
        try:
            yield
        finally:
            server.sh(
                f"rm {trust} {CERTBOT}; update-ca-certificates --fresh >/dev/null 2>&1;"
                " cd /etc/letsencrypt && rm -rf accounts archive live renewal"
            )

    def serial(self, fleet: Fleet, domain: str) -> str:
        """Of the certificate that a user of the domain gets, who trusts this authority alone.
        Raises ssl.SSLError if it is another's."""
        trust = ssl.create_default_context(cadata=self.root)
        with (
            socket.create_connection((fleet.front.address, 443)) as raw,
            trust.wrap_socket(raw, server_hostname=domain) as connection,
        ):
            return str((connection.getpeercert() or {})["serialNumber"])
