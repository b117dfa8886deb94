"""What the tests of `python -m deploy` have in common, and who runs them beside whom."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.deploy import tables
from tests.deploy.standin import COMMIT, HEALTHY, NEW, Servers
from tests.uncovered import uncovered

__all__ = ["uncovered"]  # a fixture

# Of several processes, each of these is one's from end to end, since what it is tried on takes a
# while to set up: servers, of which one and several are two. The others measure, with 16 clients on
# all processors: beside each other they find what is slow to be broken.
SEVERAL = ("servers/test_rolling.py", "servers/test_spread.py")
SUITES = ("docker/", "platforms/", "servers/")


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


@pytest.fixture
def signals() -> Iterator[None]:
    """What a verb sets is not for us."""
    before = {each: signal.getsignal(each) for each in (SIGINT, SIGTERM, SIGHUP)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


class Suites(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        name = nodeid.partition("::")[0].removeprefix("tests/deploy/")
        if name in SEVERAL:
            return "several servers"
        return next(filter(name.startswith, SUITES), None) or super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Suites:
    return Suites(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    tables.hand_over(session)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    tables.take_over(node)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for table in tables.TABLES:
        if table.rows or table.figures:
            terminalreporter.write_line(str(table))
