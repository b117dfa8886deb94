"""The log of what was changed on a server, by whom, and what came of it: log.jsonl."""

import errno
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deploy import history
from deploy.shell import Failed, uninterrupted
from deploy.vps.host import layout, progress, surroundings
from deploy.vps.host.layout import Layout
from deploy.vps.host.lock import now


@contextmanager
def logged(found: Layout, who: str, what: str, release: str | None = None) -> Iterator[None]:
    """A line when it begins, and one when it ends, whatever comes of it."""
    about = {"who": who, "what": what, "release": release}
    append(found, about, "begun", 0)
    start, result = time.monotonic(), "broken off"
    try:
        yield
        result = "ok"
    except (Failed, OSError) as failure:
        result = cause(failure)
        raise
    finally:
        with uninterrupted():
            append(found, about, result, time.monotonic() - start)


def append(found: Layout, about: dict[str, Any], result: str, seconds: float) -> None:
    """As far as there is room: a full disk keeps nobody from going back to a release."""
    about = {**about, "what": surroundings.printable(about["what"])}
    line = {"at": now(), **about, "result": result, "seconds": round(seconds, 1)}
    try:
        descriptor = os.open(found.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            _write_whole(descriptor, json.dumps(line).encode() + b"\n")
        finally:
            os.close(descriptor)
    except OSError as error:
        why = layout.words(OSError(error.errno, error.strerror, str(found.log)))
        progress.warn(f"not logged ({why}): {line['what']}, {result}")


def _write_whole(descriptor: int, line: bytes) -> None:
    """All of a line or nothing: half of one would spoil the next too. Raises OSError."""
    before = os.fstat(descriptor).st_size
    if os.write(descriptor, line) < len(line):
        os.ftruncate(descriptor, before)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def cause(failure: Failed | OSError) -> str:
    """In one line: what a command said last, or what we say first."""
    if isinstance(failure, OSError):
        return layout.words(failure)
    return history.cause(failure)
