"""Children that do not outlive us; this file is also the program that turns into each of them.

As that it runs without packages and without the service, so it imports nothing but Python's own.
"""

import ctypes
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any


def spawn(
    command: Sequence[str],
    at_our_death: signal.Signals = signal.SIGTERM,
    account: tuple[int, int] | None = None,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own (no Ctrl-C gets there) that does not outlive us.

    On Linux it gets `at_our_death` when the *thread* that started it ends: so only from the main
    thread; macOS has nothing of the kind. This file, run as a program, sees to that: preexec_fn
    is unsafe in a process with threads. `account` is the (user, group) that the child runs as.
    """
    number = at_our_death if threading.current_thread() is threading.main_thread() else 0
    user, group = account or (0, 0)
    numbers = (os.getpid(), int(number), user, group)
    launcher = [sys.executable, "-I", "-S", __file__, *map(str, numbers)]
    return subprocess.Popen([*launcher, *command], start_new_session=True, **options)


def die_with(parent: int, number: signal.Signals) -> None:
    """Have the kernel send us this signal when our parent, of that pid, ends. Linux only."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os.kill(os.getpid(), number)


# What follows runs in the child, before it becomes the program: without packages, so without
# coverage's too. Tests of dev and of the servers see what comes of it.

_PR_SET_PDEATHSIG, _PR_SET_SECUREBITS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 1, 28, 47, 2
_SECBIT_NO_SETUID_FIXUP, _CAP_DAC_OVERRIDE, _CAPABILITY_VERSION_3 = 4, 1, 0x20080522


def _launch(arguments: list[str]) -> None:  # pragma: no cover
    parent, at_our_death, user, group = map(int, arguments[:4])
    command = arguments[4:]
    if user:
        _leave_root(user, group)
    if at_our_death and sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, at_our_death)  # after the change of user, which clears it
        if os.getppid() != parent:
            sys.exit("The process that started this one is gone already.")
    os.execv(command[0], command)


def _leave_root(user: int, group: int) -> None:  # pragma: no cover
    """Become `user`, with root's way into any folder and nothing else of root.

    The repository may lie below a folder that only root may enter, such as /root. NO_SETUID_FIXUP
    keeps the capability through setuid, and in force for access(2), with which PostgreSQL looks
    for its own program. Where it cannot be had (macOS, some sandboxes) the server starts all the
    same, if the folders above let everybody in.
    """
    keeps = sys.platform == "linux" and _prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP) == 0
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
    if keeps:
        header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
        only = 1 << _CAP_DAC_OVERRIDE
        ctypes.CDLL(None).capset(header, struct.pack("6I", only, only, only, 0, 0, 0))
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE)


def _prctl(option: int, *arguments: int) -> int:  # pragma: no cover
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return int(ctypes.CDLL(None).prctl(option, *map(ctypes.c_ulong, padded)))


if __name__ == "__main__":  # pragma: no cover
    _launch(sys.argv[1:])
