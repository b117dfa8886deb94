"""The machine of the rehearsals, and their table at the end: a plugin, since of several processes
the one that prints reads no conftest.py below tests/."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.workflows.github import Row
from tests.workflows.machine import Machine

ROWS: set[str] = set()
HEAD = "| workflow | step | how | result |\n|---|---|---|---|"


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(tmp_path_factory.mktemp("machine") / "machine")


@pytest.fixture
def rows() -> Iterator[list[Row]]:
    """What a rehearsal has done; it goes into the table."""
    found: list[Row] = []
    yield found
    ROWS.update(map(str, found))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of several hands over what it has seen."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["workflows"] = sorted(ROWS)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    ROWS.update(getattr(node, "workeroutput", {}).get("workflows", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if ROWS:
        terminalreporter.write_line("\n".join(["", HEAD, *sorted(ROWS)]))
