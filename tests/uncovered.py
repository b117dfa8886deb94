"""Programs that are none of service/ are not measured: coverage doubles the time they take."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def uncovered() -> Iterator[None]:
    """For the tests of a folder whose conftest.py has this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # coverage's patch = subprocess
        yield
