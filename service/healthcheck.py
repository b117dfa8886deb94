"""`python -m service healthcheck PROCESS`: what a container's HEALTHCHECK runs instead of curl."""

import http.client
import sys

from service import pulse
from service.pulse import Life
from service.settings import Settings, port

TIMEOUT = 5  # seconds
SILENCE = 30  # seconds without a sign of life after which a process hangs


class Unhealthy(Exception):
    """The process should be replaced; the message says why."""


def run(settings: Settings | None, process: str | None) -> int:
    """0 if the process on this machine does its work; else 1, and why on stderr.

    Without settings they are those of the environment, of which no check reads a secret: each
    would ask a store of them anew, every few seconds.

    Without a process: what there is a sign of life of, else web. So one image has one check.
    """
    signs = [name for name in ("worker", "scheduler") if pulse.lives(name)]
    for each in [process] if process else signs or ["web"]:
        try:
            _CHECKS[each](settings)
        except Unhealthy as reason:
            print(f"{each} {reason}", file=sys.stderr)
            return 1
    return 0


def _web(settings: Settings | None) -> None:
    asked = settings.port if settings else port()
    connection = http.client.HTTPConnection("localhost", asked, timeout=TIMEOUT)
    try:
        connection.request("GET", "/health/ready")
        response = connection.getresponse()
        body = response.read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise Unhealthy(f"does not answer on port {asked}: {error}") from error
    if response.status != 200:
        raise Unhealthy(f"is not ready: {body}")


def _worker(_: Settings | None) -> None:
    for life in _living("worker"):
        if life.trouble:
            raise Unhealthy(life.trouble)


def _scheduler(_: Settings | None) -> None:
    _living("scheduler")


def _living(process: str) -> list[Life]:
    """All such processes of this machine, of which none hangs."""
    if not (found := pulse.lives(process)):
        raise Unhealthy("does not run on this machine")
    if (silence := max(life.silence for life in found)) > SILENCE:
        raise Unhealthy(f"hangs: its last sign of life is {silence:.0f} s old")
    return found


_CHECKS = {"web": _web, "worker": _worker, "scheduler": _scheduler}
