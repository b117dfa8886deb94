"""The machine of the rehearsals, and the rows that they add to their table."""

from collections.abc import Iterator

import pytest

from tests.uncovered import uncovered
from tests.workflows.machine import Machine
from tests.workflows.table import ROWS, Row

__all__ = ["uncovered"]  # a fixture


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(tmp_path_factory.mktemp("machine") / "machine")


@pytest.fixture
def rows() -> Iterator[list[Row]]:
    """What a rehearsal has done; it goes into the table."""
    found: list[Row] = []
    yield found
    ROWS.update(map(str, found))
