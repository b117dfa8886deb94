"""`python -m service connections`: what all processes may open, and what the database allows.

Nothing to change here; what a pool may open is DATABASE_POOL_MAX.
"""

from dataclasses import dataclass

import psycopg

from service import server
from service.connections import CONNECT_TIMEOUT, connect_to
from service.settings import Settings

# What the role may open: of the server, the database and the role itself the least.
LIMIT = """
    SELECT least(
        current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true)::int, 0),
        (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database()),
        (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user)
    )
"""


@dataclass(frozen=True)
class Use:
    """The most that the instances of one kind of process open, and how that comes about."""

    name: str
    instances: int
    each: int
    because: str

    @property
    def sum(self) -> int:
        return self.instances * self.each


def uses(settings: Settings, web: int, workers: int, schedulers: int) -> list[Use]:
    """For so many instances (containers, dynos, machines) of each."""
    processes, most = server.processes(settings).count, settings.database_pool_max
    children = server.children(settings)
    each = processes * (most + 1)
    held = min(most, 2)  # by a job: its session, and what it tells of its progress
    return [
        Use("web", web, each, f"{processes} processes × ({most} + 1 for health)"),
        Use("next web", web, each, "beside it, while a release replaces it"),
        Use("worker", workers, children * held + 1, f"{children} children × {held} + 1"),
        Use("scheduler", schedulers, 2, "the lock and the relay"),
        Use("migrate", 1, 2, "while it runs"),
    ]


def limit(settings: Settings) -> int:
    """The most connections that the database lets us have. Raises psycopg.Error."""
    url = settings.database_url
    with connect_to(url, patience=CONNECT_TIMEOUT * 2, connect_timeout=CONNECT_TIMEOUT) as asked:
        row = asked.execute(LIMIT).fetchone()
    assert row is not None
    return int(row[0])


def run(settings: Settings, web: int, workers: int, schedulers: int) -> int:
    """Print the sum; 1 if the database allows less, or does not answer."""
    found = uses(settings, web, workers, schedulers)
    for use in found:
        print(f"{use.name:10}{use.instances:4} × {use.each:4} = {use.sum:5}   {use.because}")
    total = sum(use.sum for use in found)
    print(f"{'at most':24}{total:5}")
    try:
        allowed = limit(settings)
    except psycopg.Error as error:
        print(f"the database was not asked: {str(error).strip()}")
        return 1
    print(f"{'the database allows':24}{allowed:5}")
    if total <= allowed:
        return 0
    others = sum(use.sum for use in found if not use.name.endswith("web"))
    per_process = (allowed - others) // (2 * web * server.processes(settings).count) - 1
    advice = f"DATABASE_POOL_MAX={per_process}, or " if per_process > 0 else ""
    print(f"{total - allowed} too many: {advice}fewer processes (WEB_CONCURRENCY), or PgBouncer")
    return 1
