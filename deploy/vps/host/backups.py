"""Back-ups of the database: a dump, and beside it what was in it, counted in its own snapshot."""

import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from deploy.shell import CommandFailed, Failed, kept_open
from deploy.vps.host import layout, lock, postgres, progress
from deploy.vps.host.layout import Host, Layout
from deploy.vps.host.runner import Talk

REASON = re.compile(r"[a-z0-9-]{1,30}")
FEWEST = 3  # that stay, however old
_NAME = re.compile(r"(\d{8}T\d{6}Z)-[a-z0-9-]+")
ROOM = 64 * 2**20  # bytes that stay free


@dataclass(frozen=True)
class About:
    """What a dump has in it."""

    revision: str | None
    counts: dict[str, int]  # rows of each table
    bytes: int
    seconds: float


@dataclass(frozen=True)
class Backup:
    """A dump with its description."""

    name: str
    dump: Path
    about: About

    @property
    def at(self) -> datetime:
        return datetime.strptime(self.name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

    def line(self) -> str:
        about, rows = self.about, sum(self.about.counts.values())
        size = f"{about.bytes / 2**20:.1f} MiB"
        made = f"{self.at:%Y-%m-%d %H:%M} UTC"
        return f"{self.name}  {made}, {size}, {rows} rows, revision {about.revision or 'none'}"

    @property
    def is_empty(self) -> bool:
        """As before the first migration."""
        return self.about.revision is None or not any(self.about.counts.values())


def renew(host: Host, release: Path | None, reason: str) -> tuple[str, list[str]]:
    """Make one, and remove what is too old: before, since its room may be needed, and after, since
    the new one is one of those that stay. The line about it, and the names of those that are gone.
    The caller is `alone`. Raises Failed."""
    gone = prune(host)
    return make(host, release, reason), [*gone, *prune(host)]


def make(host: Host, release: Path | None, reason: str) -> str:
    """Dump the database that a release uses, or the next one would; a line about it. Raises
    Failed."""
    if not REASON.fullmatch(reason):
        raise Failed(f"{reason!r} is no reason: small letters, digits and hyphens, 30 at most")
    told = postgres.of(release / ".env" if release else host.layout.env_current)
    folder, name = host.layout.backups, f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{reason}"
    part, start = folder / f".{name}.part", time.monotonic()
    try:
        with postgres.session(host, told) as session:
            _check_room(host.layout, session)
            session.ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;")
            snapshot = session.ask("SELECT pg_export_snapshot();")[0][0]
            revision = session.ask(postgres.REVISION)[0][0] or None
            counts = postgres.counts(session.ask(postgres.COUNTS))
            try:
                host.runner.run(
                    postgres.dump(part, snapshot),
                    env=postgres.environment(told),
                    timeout=6 * 3600,
                )
            except CommandFailed as failure:
                raise postgres.explained(failure) from None
        about = About(revision, counts, part.stat().st_size, round(time.monotonic() - start, 1))
        layout.write(folder / f"{name}.json", json.dumps(asdict(about), indent=2) + "\n", 0o600)
        part.chmod(0o600)
        part.replace(folder / f"{name}.dump")
        layout.sync(folder)
    finally:
        part.unlink(missing_ok=True)
    return Backup(name, folder / f"{name}.dump", about).line()


@contextmanager
def alone(host: Host, path: Path | None = None) -> Iterator[None]:
    """While no other back-up is made, whose file would be taken for one that was left half made;
    or nobody else has the lock at `path`. Waits for that."""
    descriptor = lock.opened(path or host.layout.backing_up)
    kept_open.add(descriptor)  # pg_dump may outlive us
    try:
        _wait(host, descriptor)
        yield
    finally:
        kept_open.discard(descriptor)
        os.close(descriptor)


def make_room(host: Host) -> list[str]:
    """Remove what is too old, for who has no room; the names. Waits for nobody: who makes a back-up
    just now has done so."""
    descriptor = lock.opened(host.layout.backing_up)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return prune(host)
    except BlockingIOError:
        return []
    finally:
        os.close(descriptor)


def _wait(host: Host, descriptor: int) -> None:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    progress.step("wait for another one to end")
    # By a program, so that a Ctrl-C counts between two of its tries.
    while not host.runner.succeeds(["flock", "--wait", "2", str(descriptor)]):
        pass


def _check_room(found: Layout, session: Talk) -> None:
    if last := every(found)[-1:]:
        needed = ROOM + 2 * last[0].about.bytes
    else:
        needed = ROOM + int(session.ask(postgres.SIZE)[0][0])
    if (free := shutil.disk_usage(found.backups).free) < needed:
        raise Failed(
            f"the disk is full: {found.backups} has {free >> 20} MiB free, and a back-up needs"
            f" {needed >> 20} MiB"
        )


def copy(host: Host) -> None:
    """The newest one to where another machine keeps them, if provision said so. Raises Failed."""
    if (where := host.server.copy_to) is None or not (found := every(host.layout)):
        return
    files = [str(found[-1].dump), str(found[-1].dump.with_suffix(".json"))]
    try:
        host.runner.run(["scp", "-B", "-q", "-p", *files, where], timeout=6 * 3600)
    except CommandFailed as failure:
        raise Failed(
            f"the back-up is here, and was not copied to {where}: {failure.said}"
        ) from None


def prune(host: Host, now: datetime | None = None) -> list[str]:
    """Remove what is older than the days that it is kept for, and what was left half made. The
    caller is `alone`."""
    found = every(host.layout)
    for part in host.layout.backups.glob(".*.part"):
        part.unlink()
    now = now or datetime.now(UTC)
    old = [each for each in found[:-FEWEST] if (now - each.at).days >= host.server.keep_days]
    for each in old:
        each.dump.unlink()
        each.dump.with_suffix(".json").unlink()
    return [each.name for each in old]


def every(found: Layout) -> list[Backup]:
    """Those that are whole, oldest first."""
    backups = []
    for dump in sorted(found.backups.glob("*.dump")):
        try:
            about = About(**json.loads(dump.with_suffix(".json").read_text()))
        except (OSError, ValueError, TypeError):
            continue
        if _NAME.fullmatch(dump.stem) and os.access(dump, os.R_OK):
            backups.append(Backup(dump.stem, dump, about))
    return backups


def latest(there: list[Backup]) -> Backup | None:
    """The newest one with something in it: an empty one has to be named."""
    return next((each for each in reversed(there) if not each.is_empty), None)


def find(found: Layout, name: str) -> Backup:
    """The one of that name, or the newest for `latest`. Raises Failed, with those that there
    are."""
    there = every(found)
    if name == "latest" and (newest := latest(there)):
        for line in not_described(found, there):
            progress.detail(line)
        return newest
    for each in there:
        if each.name == name.removesuffix(".dump"):
            return each
    lines = "\n  ".join(["", *(each.line() for each in there)]) or " none"
    what = f"{name!r} (an empty one is to be named)" if name == "latest" else f"{name!r}"
    why = f"there is no back-up {what} in {found.backups}; there are:{lines}"
    raise Failed("\n".join([why, *not_described(found, there)]))


def not_described(found: Layout, there: list[Backup]) -> Iterator[str]:
    """Dumps that were copied here without what makes them back-ups, or for another user."""
    for dump in sorted({*found.backups.glob("*.dump")} - {each.dump for each in there}):
        about = dump.with_suffix(".json")
        if not about.exists():
            yield f"{dump.name} is none without {about.name}, which must be beside it"
        else:
            files = f"{dump.with_suffix('')}.*"
            yield f"{dump.name} is left out, since deploy cannot read it: chown deploy: {files}"
