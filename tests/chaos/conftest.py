"""Servers that may be stopped, crashed and frozen: each module has its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from service.devservers import Postgres
from tests.chaos.plant import Outcome
from tests.conftest import FAST


@pytest.fixture(scope="session")
def jobs_table() -> Iterator[Callable[[str, Outcome], None]]:
    """Collects what faults did to jobs, and prints it at the end."""
    rows: list[tuple[str, Outcome]] = []
    yield lambda fault, outcome: rows.append((fault, outcome))
    print(table_of(rows))


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
