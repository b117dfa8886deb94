"""Servers that may be stopped, crashed and frozen: each module has its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from service.devservers import Postgres
from tests.chaos.plant import Outcome
from tests.conftest import FAST

HEAD = """
| fault | jobs | done | lost | twice | seconds | the control lost |
|---|---|---|---|---|---|---|"""
ROWS: list[str] = []


@pytest.fixture
def jobs_table() -> Callable[[str, Outcome], None]:
    """Takes what a fault did to jobs, for the table at the end."""
    return lambda fault, outcome: ROWS.append(row_of(fault, outcome))


def row_of(fault: str, outcome: Outcome) -> str:
    ours, naive, seconds, *_ = outcome
    return (
        f"| {fault} | {ours.jobs} | {ours.done} | {ours.lost} | {ours.twice} | {seconds:.0f} |"
        f" {naive.lost} of {naive.jobs} |"
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of several hands over what it has seen."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["jobs"] = ROWS


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    ROWS.extend(getattr(node, "workeroutput", {}).get("jobs", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if ROWS:
        terminalreporter.write_line("\n".join([HEAD, *sorted(ROWS)]))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Postgres]:
    """A PostgreSQL of the module's own, whose commits outlive a crash of the server."""
    options = FAST | {"synchronous_commit": "on"}
    with Postgres(folder / f"chaos-{uuid4().hex}", options=options) as started:
        yield started
