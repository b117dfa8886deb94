"""The lab of the rehearsals, and their table."""

from collections.abc import Iterator

import pytest

from tests.deploy.docker.conftest import engine
from tests.deploy.platforms.lab import Lab
from tests.deploy.tables import PLATFORMS

__all__ = ["engine"]  # a fixture


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
        PLATFORMS.rows.append(f"| {' | '.join(map(str, cells))} |")
