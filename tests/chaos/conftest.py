"""Servers that may be stopped, crashed and frozen: each module has its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from service.devservers import Postgres
from tests.chaos.plant import Outcome
from tests.conftest import FAST

ROWS: list[tuple[str, Outcome]] = []


@pytest.fixture
def jobs_table() -> Callable[[str, Outcome], None]:
    """Takes what a fault did to jobs, for the table at the end."""
    return lambda fault, outcome: ROWS.append((fault, outcome))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if ROWS:
        terminalreporter.write_line(table_of(sorted(ROWS, key=lambda row: row[0])))


def table_of(rows: list[tuple[str, Outcome]]) -> str:
    lines = [
        "| fault | jobs | done | lost | twice | seconds | the control lost |",
        "|---|---|---|---|---|---|---|",
    ]
    for fault, (ours, naive, seconds, *_) in rows:
        lines.append(
            f"| {fault} | {ours.jobs} | {ours.done} | {ours.lost} | {ours.twice} | {seconds:.0f} |"
            f" {naive.lost} of {naive.jobs} |"
        )
    return "\n".join(["", *lines])


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Postgres]:
    """A PostgreSQL of the module's own, whose commits outlive a crash of the server."""
    options = FAST | {"synchronous_commit": "on"}
    with Postgres(folder / f"chaos-{uuid4().hex}", options=options) as started:
        yield started
