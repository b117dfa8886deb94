"""One at a time on a server, and who it is: the lock of a change, the hold of who makes several,
and the lock that people put on."""

import fcntl
import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.shell import Failed, kept_open
from deploy.vps.host import layout, surroundings
from deploy.vps.host.layout import Layout


def take(found: Layout, who: str, what: str, token: str | None) -> int:
    """Be alone, until this process and all that it has begun have ended; the open file. Raises
    Failed, with who is there."""
    if (passed := _passed_on(found)) is not None:
        return passed
    check_hold(found, token)
    descriptor = opened(found.lock)
    if not _flock(descriptor):
        os.close(descriptor)
        raise Failed(f"{_said(found.lock, 'something')} already: wait until that has ended")
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
                if not _flock(descriptor, fcntl.LOCK_SH):
                    return _said(path, "something")
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
    descriptor, lock = opened(found.hold), opened(found.lock)
    try:
        if not _flock(descriptor):
            raise Failed(f"{_said(found.hold, 'something')} already: wait until that has ended")
        if not _flock(lock):
            raise Failed(f"{_said(found.lock, 'something')} already: wait until that has ended")
        os.close(lock)
        token = secrets.token_hex(8)
        try:
            _describe(descriptor, {"who": who, "what": why, "since": now(), "token": token})
        except OSError as error:  # nobody would know the token
            raise Failed(f"{found.hold}: {error.strerror}") from None
        yield token
    finally:
        os.close(descriptor)


def check_hold(found: Layout, token: str | None) -> None:
    """Raises Failed if somebody holds this server, and it is not who has the token."""
    descriptor = opened(found.hold)
    try:
        free = _flock(descriptor, fcntl.LOCK_SH)  # shared: two who look do not see each other
        if not free and token != _read(found.hold).get("token"):
            raise Failed(f"{_said(found.hold, 'something')}: wait until that has ended")
        if free and token:
            raise Failed(f"the hold {token} has ended: whoever had it is gone")
    finally:
        os.close(descriptor)


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
        raise Failed(
            f"releases are locked by {since}: {said.get('why')}. `slipway lock off` ends that"
        )


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def opened(path: Path) -> int:
    """A file to lock. Raises OSError."""
    # 0600: only who may take it shall be able to open it, and so to keep it from others.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _flock(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _describe(descriptor: int, said: dict[str, str]) -> None:
    """Over what was said before, whose room there is on a full disk too."""
    text = json.dumps(said).encode() + b"\n"
    os.pwrite(descriptor, text, 0)
    os.ftruncate(descriptor, len(text))


def _read(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text())
        return found if isinstance(found, dict) else {}
    return {}


def _said(path: Path, otherwise: str) -> str:
    said = _read(path)
    if not said:
        return f"{otherwise} runs"
    return f"{said.get('what')} by {said.get('who')} runs since {said.get('since')}"


def hold_until_stdin_ends(found: Layout, who: str, why: str) -> None:
    """Print `held TOKEN`, and hold until whoever called has gone."""
    with held(found, who, why) as token:
        print(f"held {token}", flush=True)
        while os.read(sys.stdin.fileno(), 4096):
            pass
