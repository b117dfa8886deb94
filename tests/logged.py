"""What a module logs, whatever tests before this one have had it log."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from unittest.mock import patch

import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict


@contextmanager
def logged(module: ModuleType) -> Iterator[list[EventDict]]:
    """Its events. A logger keeps the settings of its first use, so it gets another one."""
    with patch.object(module, "log", structlog.get_logger()), capture_logs() as events:
        yield events
