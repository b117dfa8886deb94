"""The table of the rehearsals, at the end: a plugin, since of several processes the one that prints
reads no conftest.py below tests/."""

from typing import Any, NamedTuple

import pytest

ROWS: set[str] = set()
HEAD = "| workflow | step | how | result |\n|---|---|---|---|"


class Row(NamedTuple):
    """A step, and what came of it."""

    workflow: str
    step: str
    how: str
    result: str

    def __str__(self) -> str:
        return f"| {' | '.join(self)} |"


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
