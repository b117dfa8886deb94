"""Servers that may be stopped, crashed and frozen: each module has its own."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from service.devservers import Postgres
from tests.conftest import FAST


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Postgres]:
    """A PostgreSQL of the module's own, whose commits outlive a crash of the server."""
    options = FAST | {"synchronous_commit": "on"}
    with Postgres(folder / f"chaos-{uuid4().hex}", options=options) as started:
        yield started
