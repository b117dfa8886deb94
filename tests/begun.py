"""Commands that are not waited for, and what they say meanwhile."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest


@contextmanager
def begun(
    command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """A command, with all that it says as its stdout. It ends with the `with`: a test that fails
    leaves nothing running, which would fail others."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def wait_for_step(release: "subprocess.Popen[str]", step: str) -> IO[str]:
    """Read what a release says until it comes to the step; the rest is to be read yet."""
    return wait_for(release, f"→ {step}")


def wait_for(running: "subprocess.Popen[str]", words: str) -> IO[str]:
    """Read what it says until the words; the rest is to be read yet."""
    assert running.stdout is not None
    seen = []
    for line in running.stdout:
        seen.append(line)
        if words in line:
            return running.stdout
    pytest.fail(f"it ended before it said {words!r}: {''.join(seen)[-2000:]}")
