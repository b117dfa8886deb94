"""The lab of the rehearsals, and their table."""

from collections.abc import Iterator

import pytest

from tests.deploy.docker.conftest import engine
from tests.deploy.platforms.lab import Lab

__all__ = ["engine"]  # a fixture

HEAD = (
    "| platform | web healthy after | releases, a failed one, a rollback: requests | failed |"
    " slowest stop, of | jobs done | not confirmed |\n|---|---|---|---|---|---|---|"
)
ROWS: list[str] = []


@pytest.fixture(scope="session")
def lab(engine: None) -> Iterator[Lab]:
    with Lab() as found:
        yield found


@pytest.fixture
def row() -> Iterator[list[object]]:
    """Takes the cells of a platform, for the table at the end."""
    cells: list[object] = []
    yield cells
    if cells:
        ROWS.append(f"| {' | '.join(map(str, cells))} |")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if ROWS:
        terminalreporter.write_line("\n".join(["", HEAD, *sorted(ROWS)]))
