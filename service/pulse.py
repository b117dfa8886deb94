"""Signs of life of worker and scheduler: a file that each touches, for `healthcheck` to look at.

A process that hangs touches nothing. Nothing to change here.
"""

import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


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
def beating(process: str) -> Iterator[Callable[[], None]]:
    """What to call from time to time, as a sign of life of this process."""
    path = folder() / f"{process}.{os.getpid()}"

    def beat() -> None:
        with suppress(OSError):  # systemd removes the folder of a user who logs out (RemoveIPC)
            folder()
            path.touch()

    beat()
    try:
        yield beat
    finally:
        path.unlink(missing_ok=True)


def age(process: str) -> float | None:
    """Seconds since the last sign of life of any such process on this machine; None without one."""
    now = time.time()
    found = [now - path.stat().st_mtime for path in folder().glob(f"{process}.*")]
    return min(found, default=None)
