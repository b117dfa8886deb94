"""What the tests of `python -m deploy` have in common."""

import os
import sys
from pathlib import Path

import pytest

from tests.deploy.standin import COMMIT, HEALTHY, NEW, Servers


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Servers:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = Servers(tmp_path, sys.executable)
    found.answer("*", "resolve", out={"commit": COMMIT})
    found.answer("*", "prepare", out={"release": NEW})
    found.answer("*", "status", out=HEALTHY)
    found.answer("*", "balance", out={"out": []})
    backup = "20261126T031000Z-nightly"
    listed = [{"name": backup, "line": f"{backup}  3 rows"}]
    found.answer("*", "backups", out={"backups": listed, "latest": backup})
    found.answer("*", "migrate", out={"pending": []})
    for verb in (
        "turn",
        "workers",
        "smoke",
        "settle",
        "discard",
        "rollback",
        "env",
        "backup",
        "release",
    ):
        found.answer("*", verb, out={"result": "ok"})
    return found
