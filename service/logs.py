"""Logs: one JSON object a line in production, readable lines in development; never a secret.

Add a key that must never be shown: `HIDDEN`.
"""

import json
import logging
import os
import re
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import structlog
from pydantic_core import PydanticSerializationError, to_json

from service.environment import is_secret
from service.settings import Settings

Event = MutableMapping[str, Any]

# The id of the request that this thread is at, or that caused this job.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
# And that of their trace, where there are traces: see tracing.py.
trace_id: ContextVar[str | None] = ContextVar("trace_id", default=None)

HIDDEN = frozenset(
    "password current_password authorization cookie set_cookie token access_token secret "
    "dsn api_key".split()
) | {name for name, field in Settings.model_fields.items() if is_secret(field)}
# Libraries that tell at each start what nobody wants to know; botocore, at DEBUG, all secrets that
# it is given.
QUIET = (
    "alembic.runtime.plugins",
    "botocore",
    "service.engine.MeasuredPool",
    "sqlalchemy",
    "urllib3",
)
# The password in scheme://user:password@host, and what follows "Bearer".
_CREDENTIALS = re.compile(r"(?<=://)([^/\s:@\"]*):[^/\s@\"]+@|(?<=Bearer )[\w.~+/=-]+")


def hide(text: str) -> str:
    """The text without the passwords of URLs and without bearer tokens."""
    return _CREDENTIALS.sub(lambda m: f"{m[1]}:***@" if m[1] is not None else "***", text)


def _add_ids(_: Any, __: str, event: Event) -> Event:
    if (found := request_id.get()) is not None:
        event.setdefault("request_id", found)
    if (trace := trace_id.get()) is not None:
        event.setdefault("trace_id", trace)
    return event


def _hide_secrets(_: Any, __: str, event: Event) -> Event:
    for key, value in event.items():
        if isinstance(value, dict):
            event[key] = _hide_secrets(_, __, dict(value))
        elif _is_hidden(key):
            event[key] = "***"
    return event


@lru_cache(maxsize=1000)
def _is_hidden(key: str) -> bool:
    return key.lower().replace("-", "_") in HIDDEN


def _hide_in_text(_: Any, __: str, text: str) -> str:
    return hide(text).encode(errors="backslashreplace").decode()


def _as_json(_: Any, __: str, event: Event) -> bytes:
    try:
        line = to_json(event, fallback=repr)
    except PydanticSerializationError:  # half of a surrogate pair, which json escapes
        line = json.dumps(event, default=repr).encode()
    return hide(line.decode()).encode() if b"://" in line or b"Bearer " in line else line


class Stdout:
    """Writes a line by one system call. structlog's own logger holds a lock meanwhile, at which
    the other threads of a busy server queue; a pipe takes lines up to 4 KiB whole without."""

    def __init__(self, *_: Any) -> None:
        self._descriptor = 1

    def msg(self, line: bytes) -> None:
        rest = memoryview(line + b"\n")
        with suppress(OSError):  # a full disk or a reader that is gone must not cost a response
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    debug = info = warning = error = critical = exception = msg


def configure(settings: Settings) -> None:
    """Send structlog's and the standard library's logs to stdout in one format."""
    shared: list[Any] = [
        _add_ids,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(
            fmt="iso" if settings.log_as_json else "%H:%M:%S.%f", utc=True, key="time"
        ),
    ]
    if settings.log_as_json:
        shared += [structlog.processors.format_exc_info, _hide_secrets]
        render: list[Any] = [_as_json]
        factory: Any = Stdout
    else:
        shared += [_hide_secrets]
        colours = sys.stdout.isatty()
        console = structlog.dev.ConsoleRenderer(
            colors=colours,
            timestamp_key="time",
            exception_formatter=structlog.dev.plain_traceback,  # others show local variables
        )
        render = [console, _hide_in_text]
        factory = structlog.PrintLoggerFactory(sys.stdout)
    structlog.configure(
        processors=shared + render,
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    as_text = [lambda *args: _as_json(*args).decode()] if settings.log_as_json else render
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *as_text],
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    logging.captureWarnings(True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
