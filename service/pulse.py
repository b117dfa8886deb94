"""Signs of life of worker and scheduler: a file that each touches, for `healthcheck` to look at.

A process that hangs touches nothing; one that finds something wrong writes it there. So a check
needs no settings, of which some may be in a store. Nothing to change here.
"""

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol, TextIO


class Beat(Protocol):
    """A sign of life, with what is wrong."""

    def __call__(self, trouble: str = "") -> None: ...


class Life(NamedTuple):
    """A process of this machine, as its file shows it."""

    silence: float  # seconds since its last sign of life
    trouble: str  # what it finds wrong itself; mostly nothing


def folder() -> Path:
    """The folder of this user's pulses: in memory where there is /dev/shm, made if need be.

    Raises PermissionError if somebody else has made it.
    """
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()  # noqa: S108
    found = Path(parent) / f"service-pulse-{os.getuid()}"
    found.mkdir(mode=0o700, exist_ok=True)
    if (about := found.stat(follow_symlinks=False)).st_uid != os.getuid() or not stat.S_ISDIR(
        about.st_mode
    ):
        raise PermissionError(f"{found} belongs to somebody else")
    return found


@contextmanager
def beating(process: str) -> Iterator[Beat]:
    """What to call from time to time, as a sign of life of this process."""
    path = folder() / f"{process}.{os.getpid()}"
    file, written = _open(path), ""

    def beat(trouble: str = "") -> None:
        nonlocal file, written
        with suppress(OSError):
            if not path.exists():  # systemd removes what a user has who logs out (RemoveIPC)
                file.close()
                folder()
                file, written = _open(path), ""
            if trouble != written:
                file.truncate(0)
                file.seek(0)
                file.write(trouble)
                file.flush()
                written = trouble
            os.utime(file.fileno())

    try:
        yield beat
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _open(path: Path) -> TextIO:
    """The file, locked: so a file that is not locked is of a process that was killed.

    Who looks before it is locked holds it for a moment, and removes it. Raises BlockingIOError
    where it is held for longer: by a process of another container that shares this folder.
    """
    give_up = time.monotonic() + 1
    while True:
        file = path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            if time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            if _is_at(path, file):
                return file
            file.close()


def _is_at(path: Path, file: TextIO) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    return False


def lives(process: str) -> list[Life]:
    """All such processes of this machine; the files of those that were killed are removed."""
    now, found = time.time(), []
    for path in folder().glob(f"{process}.*"):
        with suppress(FileNotFoundError), path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(Life(now - path.stat().st_mtime, file.read()))
            else:
                path.unlink(missing_ok=True)
    return found
