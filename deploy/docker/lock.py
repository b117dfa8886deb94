"""One at a time on a host, and who it was: the lock, and the log beside nginx's configurations."""

import getpass
import json
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

from deploy.docker.stack import Stack
from deploy.history import cause
from deploy.shell import CommandFailed, Failed, kept_open, quietly, run, uninterrupted

LOCK_WITHIN = 30  # seconds
LOG = "/edge/releases.jsonl"


@contextmanager
def locked(stack: Stack) -> Iterator[Stack]:
    """Alone on this host: the stack, with our hand on its volume. Raises Failed, with who is
    there."""
    run(stack.make_volume())
    holding = subprocess.Popen(  # noqa: S603
        stack.take_lock(who()),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C is for us: we let go of it when we are done
    )
    assert holding.stdin is not None
    assert holding.stdout is not None
    try:
        if not select.select([holding.stdout], [], [], LOCK_WITHIN)[0]:
            raise Failed(f"the lock cannot be taken within {LOCK_WITHIN} s")
        if not (id := holding.stdout.readline().decode().strip()):
            said = holding.communicate()[1].decode(errors="replace").strip()
            if "is already in use" in said:
                raise Failed(f"a release runs already: {holder(stack) or 'it has just ended'}")
            raise Failed(f"the lock cannot be taken: {said}")
        kept_open.add(holding.stdin.fileno())
        yield replace(stack, hand=id)
    finally:
        if not holding.stdin.closed:
            kept_open.discard(holding.stdin.fileno())
            holding.stdin.close()
        _end(holding)


def _end(holding: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):  # a command of ours goes on, and has the lock
        holding.wait(LOCK_WITHIN)


def holder(stack: Stack) -> str:
    """Who has the lock, since when, and how it is taken from somebody who is gone; else empty."""
    try:
        about = run(stack.holder()).strip()
    except CommandFailed:
        return ""
    return f"{about} (if nobody is there any more: docker rm --force {stack.lock})"


def who() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


@contextmanager
def logged(stack: Stack, verb: str, image: str, colour: str) -> Iterator[None]:
    """A line in the log of the host when it begins, and one when it ends, whatever comes of it."""
    about = {"who": who(), "what": verb, "image": image, "colour": colour}
    run(_append(stack), given=_line(about, "begun", 0))
    start, result = time.monotonic(), "broken off"
    try:
        yield
        result = "ok"
    except Failed as failure:
        result = cause(failure)
        raise
    finally:
        with uninterrupted():
            quietly(_append(stack), given=_line(about, result, time.monotonic() - start))


def _append(stack: Stack) -> list[str]:
    return stack.in_lock("sh", "-c", f"cat >>{LOG}")


def _line(about: dict[str, str], result: str, seconds: float) -> bytes:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    line = {"at": at, **about, "result": result, "seconds": round(seconds, 1)}
    return json.dumps(line).encode() + b"\n"
