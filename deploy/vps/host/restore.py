"""From a back-up to a database: always into a scratch one first, which is compared with what the
back-up says of itself, and takes the place of the live one only then."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from deploy.shell import CommandFailed, Failed, uninterrupted
from deploy.vps.host import backups, edge, postgres, progress, turn, units
from deploy.vps.host.backups import Backup
from deploy.vps.host.layout import Host

SCRATCH = "slipway_scratch_"
REPLACED = "slipway_replaced_"


def restore(host: Host, name: str) -> str:
    """Put a back-up in the place of the live database; what came of it. The database that was
    live is kept, until after the next restore. Raises Failed: the live one is as it was then,
    unless it is said otherwise."""
    backup = backups.find(host.layout, name)
    told = _here(host)
    with _scratch(host, backup, told) as scratch, _maintenance(host):
        replaced = f"{REPLACED}{datetime.now(UTC):%Y%m%d%H%M%S}"
        progress.step("put it in the place of the live one")
        with uninterrupted():
            host.runner.run(units.as_root("database", "swap", scratch, replaced))
            _catch_up(host)
    for old in postgres.databases(host, told, REPLACED):
        if old != replaced:
            host.runner.run(units.as_root("database", "drop", old))
    return f"{backup.name} is live; what was, if it was there, is kept as {replaced}"


def test(host: Host, name: str) -> str:
    """Restore a back-up, compare it, and take it away again. Raises Failed if it is not whole."""
    backup = backups.find(host.layout, name)
    start = time.monotonic()
    with _scratch(host, backup, _here(host)):
        rows = sum(backup.about.counts.values())
        about = f"{len(backup.about.counts)} tables, {rows} rows, revision {backup.about.revision}"
    return f"{backup.name} can be restored: {about}, in {time.monotonic() - start:.1f} s"


def _here(host: Host) -> dict[str, str]:
    if not host.server.has("database"):
        raise Failed(
            f"the database is not on {host.server.server}: a restore runs on the server that has it"
        )
    return postgres.of(host.layout.env_current)


@contextmanager
def _scratch(host: Host, backup: Backup, told: dict[str, str]) -> Iterator[str]:
    """A database with the back-up in it, which is as it should be; gone afterwards, unless it is
    the live one by then."""
    for old in postgres.databases(host, told, SCRATCH):  # of one that was killed
        host.runner.run(units.as_root("database", "drop", old))
    name = f"{SCRATCH}{int(time.time())}"
    progress.step(f"restore {backup.name} into {name}")
    host.runner.run(units.as_root("database", "create", name))
    try:
        try:
            host.runner.run(
                postgres.restore(backup.dump, name),
                env=postgres.environment(told),
                timeout=6 * 3600,
            )
        except CommandFailed as failure:
            raise Failed(f"{backup.name} cannot be restored: {failure.said}") from None
        progress.step("compare it with what the back-up says of itself")
        compare(backup, *_contents(host, told, name))
        yield name
    finally:
        with uninterrupted():
            if name in postgres.databases(host, told, SCRATCH):
                host.runner.quietly(units.as_root("database", "drop", name))


def _contents(host: Host, told: dict[str, str], name: str) -> tuple[str | None, dict[str, int]]:
    with postgres.session(host, {**told, "PGDATABASE": name}) as session:
        revision = session.ask(postgres.REVISION)[0][0] or None
        return revision, postgres.counts(session.ask(postgres.COUNTS))


def compare(backup: Backup, revision: str | None, counts: dict[str, int]) -> None:
    """Raises Failed, with what differs."""
    wanted = backup.about
    differ = [f"revision {revision}, not {wanted.revision}"] if revision != wanted.revision else []
    for table in sorted({*counts, *wanted.counts}):
        if (is_ := counts.get(table)) != (was := wanted.counts.get(table)):
            differ.append(f"{table} has {is_} rows, not {was}")
    if differ:
        raise Failed(f"{backup.name} is not what it says it is: {'; '.join(differ)}")


@contextmanager
def _maintenance(host: Host) -> Iterator[None]:
    """Requests are told to come back, where they come in here, until the other database is in
    place. What was on before stays on."""
    found = host.layout
    if edge.maintenance(found) or not host.server.has("web"):
        yield
        return
    edge.put(found, edge.MAINTENANCE, wanted=True)
    try:
        host.runner.sleep(turn.PROMISED)
        yield
    finally:
        edge.put(found, edge.MAINTENANCE, wanted=False)


def _catch_up(host: Host) -> None:
    """The back-up may be of an older schema than the code that serves. Raises Failed."""
    if (release := edge.serving(host)) is None or not host.server.has("web"):
        return
    try:
        if host.runner.run(units.service(release, "migrate", "--pending")).split():
            progress.step("migrate")
            progress.detail(units.migrate(host, edge.colour(host.layout)))
    except CommandFailed as failure:
        raise Failed(
            f"the back-up is live, but its schema was not looked at: {failure.said}"
        ) from None
