"""`python -m service healthcheck PROCESS`: what a container's HEALTHCHECK runs instead of curl."""

import http.client
import sys

import psycopg
from redis import RedisError

from service import pulse
from service.connections import connect_to
from service.pulse import Life
from service.redis import make_client
from service.settings import Settings, port
from service.sources import SettingsError

TIMEOUT = 5  # seconds
STORE_PATIENCE = 3  # seconds: all of it has about ten, or its container is ended
SILENCE = 30  # seconds without a sign of life after which a process hangs
SUSPENDED = "rq:suspended"  # set by `rq suspend`; to import rq costs 0.15 s
OLDEST = """
    SELECT extract(epoch FROM now() - min(queued_at)) FROM jobs
    WHERE status = 'queued' AND queue = ANY(%s)
"""


class Unhealthy(Exception):
    """The process should be replaced; the message says why."""


def run(settings: Settings | None, process: str | None) -> int:
    """0 if the process on this machine does its work; else 1, and why on stderr.

    Without settings they are those of the environment, of which each check reads what it needs: a
    store of secrets is asked only where one is needed.

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


def _worker(settings: Settings | None) -> None:
    queues = " ".join(life.about for life in _living("worker")).split()
    if (settings := settings or _settings()) is None:
        return
    limit = settings.job_wait_limit.total_seconds()
    if (waited := _oldest(settings, queues)) is not None and waited > limit and _may_work(settings):
        raise Unhealthy(f"leaves jobs waiting: the oldest for {waited:.0f} s, of {limit:.0f}")


def _scheduler(_: Settings | None) -> None:
    _living("scheduler")


def _settings() -> Settings | None:
    """None where a store of secrets does not answer: another worker would not do better."""
    try:
        return Settings.load(patience=STORE_PATIENCE)
    except SettingsError as error:
        if all(variable != "SECRETS_FROM" for variable, _ in error.problems):
            raise
        print(f"worker: the database was not asked: {error}", file=sys.stderr)
        return None


def _living(process: str) -> list[Life]:
    """All such processes of this machine, of which none hangs."""
    if not (found := pulse.lives(process)):
        raise Unhealthy("does not run on this machine")
    if (silence := max(life.silence for life in found)) > SILENCE:
        raise Unhealthy(f"hangs: its last sign of life is {silence:.0f} s old")
    return found


def _oldest(settings: Settings, queues: list[str]) -> float | None:
    """Seconds that the oldest job of these queues waits; None without one, or without a database:
    another worker would not do better, so that is no reason to replace this one."""
    url = settings.database_url
    try:
        with connect_to(url, patience=TIMEOUT, connect_timeout=2) as connection:
            found = connection.execute(OLDEST, (queues,)).fetchone()
    except psycopg.Error as error:
        print(f"worker: the database was not asked: {error}", file=sys.stderr)
        return None
    return None if found is None or found[0] is None else float(found[0])


def _may_work(settings: Settings) -> bool:
    """False without Redis or after `rq suspend`, when another worker would not do better."""
    try:
        with make_client(settings, socket_connect_timeout=TIMEOUT, socket_timeout=TIMEOUT) as asked:
            return not asked.exists(SUSPENDED)
    except RedisError as error:
        print(f"worker: Redis was not asked: {error}", file=sys.stderr)
        return False


_CHECKS = {"web": _web, "worker": _worker, "scheduler": _scheduler}
