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
    """Read what it says until the step; the rest is to be read yet."""
    assert release.stdout is not None
    seen = []
    for line in release.stdout:
        seen.append(line)
        if line.startswith(f"→ {step}"):
            return release.stdout
    pytest.fail(f"it ended before the step {step}: {''.join(seen)[-2000:]}")
