"""From a back-up to a database: always into a scratch one first, which is compared with what the
back-up says of itself, and takes the place of the live one only then."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from deploy.shell import CommandFailed, Failed, uninterrupted
from deploy.vps.host import backups, edge, postgres, progress, turn, units
from deploy.vps.host.backups import Backup
from deploy.vps.host.layout import ROOT_PROGRAM, Host

# Two prefixes: each begins by dropping what one before it left, which was killed.
SCRATCH = "slipway_scratch_"
TRIED = "slipway_tried_"
REPLACED = "slipway_replaced_"  # and the moment at which it was
_MOMENT = "%Y%m%d%H%M%S%f"
_WAL = 2 * 2**30  # bytes that PostgreSQL keeps of what it writes (max_wal_size)


def restore(host: Host, name: str) -> str:
    """Put a back-up in the place of the live database; what came of it. The database that was
    live is kept for as long as back-ups are. Raises Failed: the live one is as it was then,
    unless it is said otherwise."""
    backup = backups.find(host.layout, name)
    told = _here(host)
    progress.detail(backup.line())
    _drop_old(host, told)
    with _scratch(host, backup, told, SCRATCH) as scratch, uninterrupted():
        replaced = f"{REPLACED}{datetime.now(UTC).strftime(_MOMENT)}"
        closed = edge.closed_by(host.layout)
        ours = _close(host, closed)
        progress.step("put it in the place of the live one")
        try:
            host.runner.run(units.as_root("database", "swap", scratch, replaced))
        except Failed:
            if ours and closed is None:  # else the schema may be behind already
                edge.reopen(host.layout)
            raise
        _catch_up(host, backup, replaced)
        if ours:
            edge.reopen(host.layout)
    return f"{backup.name} is live; what was, if it was there, is kept as {replaced}"


def test(host: Host, name: str) -> str:
    """Restore a back-up, compare it, and take it away again. Raises Failed if it is not whole."""
    backup = backups.find(host.layout, name)
    start = time.monotonic()
    with _scratch(host, backup, _here(host), TRIED):
        rows = sum(backup.about.counts.values())
        about = f"{len(backup.about.counts)} tables, {rows} rows, revision {backup.about.revision}"
    return f"{backup.name} can be restored: {about}, in {time.monotonic() - start:.1f} s"


def _here(host: Host) -> dict[str, str]:
    if not host.server.has("database"):
        raise Failed(
            f"the database is not on {host.server.server}: a restore runs on the server that has it"
        )
    units.check(host)
    return postgres.of(host.layout.env_current)


def _drop_old(host: Host, told: dict[str, str]) -> None:
    """What was live, after the days that back-ups are kept for; not before, since who restores
    for the second time may want what was live before the first."""
    for name in postgres.databases(host, told, REPLACED):
        if _days(name) >= host.server.keep_days:
            host.runner.quietly(units.as_root("database", "drop", name))


def _days(name: str) -> int:
    """Since it was live; 0 if its name does not say."""
    with suppress(ValueError):
        moment = datetime.strptime(name.removeprefix(REPLACED)[:20], _MOMENT)
        return (datetime.now(UTC) - moment.replace(tzinfo=UTC)).days
    return 0


@contextmanager
def _scratch(host: Host, backup: Backup, told: dict[str, str], prefix: str) -> Iterator[str]:
    """A database with the back-up in it, which is as it should be; gone afterwards, unless it is
    the live one by then."""
    for old in postgres.databases(host, told, prefix):
        host.runner.run(units.as_root("database", "drop", old))
    _check_room(host, backup, told)
    name = f"{prefix}{int(time.time())}"
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
            if name in postgres.databases(host, told, prefix):
                host.runner.quietly(units.as_root("database", "drop", name))


def _check_room(host: Host, backup: Backup, told: dict[str, str]) -> None:
    """PostgreSQL stops if its own disk is full. Raises Failed; nothing has been written yet."""
    # The live one may have been emptied: a dump is compressed, and has no indexes in it.
    size = max(postgres.size(host, told), 3 * backup.about.bytes)
    folder, needed = host.layout.databases, backups.ROOM + size + min(size, _WAL)
    if (free := shutil.disk_usage(folder).free) < needed:
        kept = ", ".join(postgres.databases(host, told, REPLACED)) or "none"
        raise Failed(
            f"the disk is full: {folder} has {free >> 20} MiB free, and {backup.name} needs"
            f" {needed >> 20} MiB beside the live database. Nothing was touched. Databases that"
            f" were live once, and take room: {kept} (sudo {ROOT_PROGRAM} database drop NAME)"
        )


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


def _close(host: Host, closed: str | None) -> bool:
    """Have requests told to come back, until the other database is in place; whether it is for us
    to end that: not if an operator wants it so, but if a restore does that was cut off. Of several
    servers the balancer does it, for who has called us."""
    if not host.server.has("web") or host.server.servers > 1:
        return False
    if closed is None:
        edge.close(host.layout, edge.RESTORE)
        host.runner.sleep(turn.PROMISED)
    return closed is None or closed.startswith(edge.RESTORE)


def _catch_up(host: Host, backup: Backup, replaced: str) -> None:
    """The back-up may be of an older schema than the code that serves. Of several servers, who has
    called us asks one of them. Raises Failed."""
    release = edge.serving(host)
    if release is None or not host.server.has("web") or host.server.servers > 1:
        return
    try:
        if host.runner.run(units.service(release, "migrate", "--pending")).split():
            progress.step("migrate")
            progress.detail(units.migrate(host, edge.colour(host.layout)))
    except Failed as failure:
        why = failure.said if isinstance(failure, CommandFailed) else str(failure)
        raise Failed(
            f"{backup.name} is live, but its schema was not brought up to {release.name}, which"
            f" serves: {why}\nMaintenance stays on. When that is mended, here: slipway migrate"
            f" {release.name} --no-backup, and slipway maintenance off. What was live before is"
            f" kept as {replaced}"
        ) from None
