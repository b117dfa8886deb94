"""One at a time on a server, and who it is: the lock of a change, the hold of who makes several,
and the lock that people put on."""

import fcntl
import json
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.shell import Failed, kept_open
from deploy.vps.host import layout, surroundings
from deploy.vps.host.layout import Layout

LOOK = 1.0  # seconds; a look takes a thousandth of that, on a server that is not busy


def take(found: Layout, who: str, what: str, token: str | None) -> int:
    """Be alone, until this process and all that it has begun have ended; the open file. Raises
    Failed, with who is there."""
    if (passed := _passed_on(found)) is not None:
        return passed
    descriptor = opened(found.lock)
    try:
        _be_alone(found.lock, descriptor)
        check_hold(found, token)  # now that nobody gets one any more
    except BaseException:
        os.close(descriptor)
        raise
    with suppress(OSError):  # on a full disk nobody is told who it is
        _describe(descriptor, {"who": who, "what": what, "since": now()})
    kept_open.add(descriptor)
    return descriptor


def pass_on(descriptor: int) -> None:
    """To the program that is executed in our place."""
    os.set_inheritable(descriptor, True)
    surroundings.put(surroundings.LOCK, str(descriptor))


def running(found: Layout) -> str | None:
    """What has the lock, or holds the server, just now."""
    for path in (found.lock, found.hold):
        if path.exists():
            descriptor = opened(path)
            try:
                if not _is_free(descriptor):
                    return _said(path)
            finally:
                os.close(descriptor)
    return None


def _passed_on(found: Layout) -> int | None:
    """The lock that the program before us has taken, if it is that."""
    number = surroundings.take(surroundings.LOCK) or ""
    with suppress(OSError):
        if number.isdecimal() and os.path.samestat(os.fstat(int(number)), found.lock.stat()):
            kept_open.add(int(number))
            return int(number)
    return None


@contextmanager
def held(found: Layout, who: str, why: str) -> Iterator[str]:
    """Let nobody else change anything who has not this token. Raises Failed."""
    hold, lock, token = opened(found.hold), opened(found.lock), secrets.token_hex(8)
    try:
        try:
            _be_alone(found.hold, hold)
            _be_alone(found.lock, lock)
            _describe(hold, {"who": who, "what": why, "since": now(), "token": token})
        except OSError as error:  # nobody would know the token
            raise Failed(f"{found.hold}: {error.strerror}") from None
        finally:
            os.close(lock)
        yield token
    finally:
        os.close(hold)


def _be_alone(path: Path, descriptor: int) -> None:
    if not _flock(descriptor):
        raise Failed(f"{_said(path)} already: wait until that has ended")


def check_hold(found: Layout, token: str | None) -> None:
    """Raises Failed if somebody holds this server, and it is not who has the token."""
    descriptor = opened(found.hold)
    try:
        free = _is_free(descriptor)
        if not free and (token is None or token != _read(found.hold).get("token")):
            raise Failed(f"{_said(found.hold)}: wait until that has ended")
        if free and token:
            raise Failed(f"the hold {token} has ended: whoever had it is gone")
    finally:
        os.close(descriptor)


def held_for(found: Layout) -> str:
    """What somebody holds this server for."""
    return str(_read(found.hold).get("what", "a change"))


def lock_on(found: Layout, who: str, why: str) -> None:
    layout.write(found.locked, json.dumps({"who": who, "why": why, "since": now()}) + "\n")


def lock_off(found: Layout) -> None:
    found.locked.unlink(missing_ok=True)


def locked(found: Layout) -> dict[str, Any] | None:
    """Who locked it, why and since when; None if nobody has."""
    return _read(found.locked) if found.locked.exists() else None


def check_lock(found: Layout) -> None:
    """Raises Failed if people have locked releases."""
    if (said := locked(found)) is not None:
        since = f"{said.get('who')} at {said.get('since')}"
        raise Failed(f"releases are locked by {since}: {said.get('why')}. `vps lock off` ends that")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def opened(path: Path) -> int:
    """A file to lock. Raises OSError."""
    # 0600: only who may take it shall be able to open it, and so to keep it from others.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _flock(descriptor: int) -> bool:
    """Whether nobody else has it now. Who only looks has it for a moment, which is waited for."""
    until = time.monotonic() + LOOK
    while not _flock_now(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > until:
            return False
        time.sleep(LOOK / 20)
    return True


def _is_free(descriptor: int) -> bool:
    return _flock_now(descriptor, fcntl.LOCK_SH)  # shared: two who look do not see each other


def _flock_now(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _describe(descriptor: int, said: dict[str, str]) -> None:
    """Over what was said before, whose room there is on a full disk too."""
    shown = {name: surroundings.printable(text) for name, text in said.items()}
    text = json.dumps(shown).encode() + b"\n"
    os.pwrite(descriptor, text, 0)
    os.ftruncate(descriptor, len(text))


def _read(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text())
        return found if isinstance(found, dict) else {}
    return {}


def _said(path: Path) -> str:
    if not (said := _read(path)):
        return "something runs"
    return f"{said.get('what')} by {said.get('who')} runs since {said.get('since')}"


def hold_until_stdin_ends(found: Layout, who: str, why: str) -> None:
    """Print `held TOKEN`, and hold until whoever called has gone."""
    with held(found, who, why) as token:
        print(f"held {token}", flush=True)
        while os.read(sys.stdin.fileno(), 4096):
            pass
