"""What is done to servers, and which requests may fail of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.chaos.load import Outcome, failed
from tests.deploy.servers.fleet import Counted, Fleet
from tests.deploy.servers.lab import Server

LOG = "/var/log/nginx/access.log"
WRITES = {"POST", "PATCH"}  # which nginx may not send twice


class Fault:
    """What the clients had by its begin and by its end, and what nginx in front of them logged."""

    def __init__(self, fleet: Fleet, load: Counted, server: Server) -> None:
        self._fleet, self._load, self._server = fleet, load, server
        self._first = len(load.outcomes)
        self._last: int | None = None
        self._logged = int(fleet.front.sh(f"wc -l <{LOG}"))

    def ends(self) -> None:
        self._last = len(self._load.outcomes)

    def assert_only_writes_in_flight_failed(self, most: int) -> None:
        """When the load has ended: within the fault, on its server, as many as may have been in
        flight there; and no job was lost."""
        during: list[Outcome] = self._load.outcomes[self._first : self._last]
        wrong = [each for each in during if failed([each])]
        assert failed(self._load.outcomes) == failed(wrong)  # none before, and none after
        assert {each.ask.method for each in wrong} <= WRITES, failed(wrong)
        assert len(wrong) <= most, failed(wrong)
        for line in self._answered_by_nginx():
            assert self._server.address in line["upstream"], line
        assert self._load.lost == 0

    def _answered_by_nginx(self) -> Iterator[dict[str, Any]]:
        """In the place of the service, or not at all, since it began."""
        if self._server is self._fleet.front:  # which asks itself by the loopback
            return
        for line in self._fleet.front.sh(f"tail -n +{self._logged + 1} {LOG}").splitlines():
            if (found := json.loads(line))["status"] >= 499:
                yield found


@contextmanager
def fault(fleet: Fleet, load: Counted, server: Server) -> Iterator[Fault]:
    """Until the `with` ends, something happens to a server."""
    found = Fault(fleet, load, server)
    yield found
    found.ends()


@contextmanager
def held_up(server: Server, unit: str, commit: str) -> Iterator[None]:
    """A unit that does not start with this commit on one server, and only there."""
    folder = f"/run/systemd/system/{unit}.service.d"
    check = f'ExecStartPre=/bin/sh -c "! readlink -f . | grep -q {commit[:12]}"'
    server.sh(f"mkdir -p {folder}; printf '%s\\n' '[Service]' '{check}' >{folder}/x.conf")
    server.sh("systemctl daemon-reload")
    try:
        yield
    finally:
        server.sh(f"rm -r {folder}; systemctl daemon-reload")


# web as most people run it: the unit binds its port itself, so nobody listens while it restarts.
PLAIN = """[Service]
Type=notify
User=slipway
Group=slipway
WorkingDirectory=/srv/slipway/colours/{colour}
Environment=PYTHONDONTWRITEBYTECODE=1 PORT={port}
ExecStart=/usr/bin/env .venv/bin/python -m service web
KillMode=mixed
TimeoutStopSec=40
"""


@contextmanager
def plain_web(server: Server, colour: str, port: int) -> Iterator[str]:
    """The name of such a unit, in the place of the colour that serves."""
    file, ours = "/run/systemd/system/plain-web.service", f"slipway-web@{colour}"
    server.sh(f"cat >{file} <<'END'\n{PLAIN.format(colour=colour, port=port)}END")
    server.sh(f"systemctl stop {ours}.socket {ours}.service; systemctl daemon-reload")
    try:
        server.sh("systemctl start plain-web")
        yield "plain-web"
    finally:
        server.sh(f"systemctl stop plain-web; rm {file}; systemctl daemon-reload")
        server.sh(f"systemctl start {ours}.socket {ours}.service")


EATER = """

def eating(service):
    def app(environ, start):
        if environ.get("HTTP_X_EAT"):
            eaten = bytearray(1 << 30)
            eaten[::4096] = b"x" * len(eaten[::4096])
        return service(environ, start)

    return app


app = eating(app)
"""


def processes(server: Server, colour: str) -> set[str]:
    """The ids of those that answer requests."""
    script = f"pgrep -P $(systemctl show -P MainPID slipway-web@{colour})"
    return set(server.sh(script).split())
