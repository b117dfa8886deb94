"""Signs of life of worker and scheduler: a file that each touches, for `healthcheck` to look at.

A process that hangs touches nothing. Nothing to change here.
"""

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TextIO


class Life(NamedTuple):
    """A process of this machine, as its file shows it."""

    silence: float  # seconds since its last sign of life
    about: str


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
def beating(process: str, about: str = "") -> Iterator[Callable[[], None]]:
    """What to call from time to time, as a sign of life of this process."""
    path = folder() / f"{process}.{os.getpid()}"
    file = _open(path, about)

    def beat() -> None:
        nonlocal file
        with suppress(OSError):
            if not path.exists():  # systemd removes what a user has who logs out (RemoveIPC)
                file.close()
                folder()
                file = _open(path, about)
            os.utime(file.fileno())

    try:
        yield beat
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _open(path: Path, about: str) -> TextIO:
    """The file, locked: so a file that is not locked is of a process that was killed."""
    file = path.open("w")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    file.write(about)
    file.flush()
    return file


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
