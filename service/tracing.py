"""Traces: which span this thread is in, for all who know nothing of OpenTelemetry.

A step of yours: `with tracing.span("resize"): …`. For a request to another service of yours:
`headers=tracing.headers()`. Without OTEL_EXPORTER_OTLP_ENDPOINT each of these looks at one variable
that is None; spans.py, which imports the library, is not imported then.
"""

from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any, Protocol

Attributes = dict[str, str | int]


class Span(Protocol):
    """A request or a job, from when it began until its end."""

    def end(self) -> None: ...

    def step(
        self, name: str, attributes: Attributes, client: bool
    ) -> AbstractContextManager[None]: ...

    def parent(self) -> str | None: ...

    def fail(self, error: BaseException) -> None: ...


class RequestSpan(Span, Protocol):
    def answered(
        self, environ: dict[str, Any], method: str, route: str | None, status: int, scheme: str
    ) -> None: ...


class Tracer(Protocol):
    """Begins them: see spans.py."""

    def begin_request(self, environ: dict[str, Any]) -> RequestSpan: ...

    def begin_job(self, name: str, parent: str | None, attributes: Attributes) -> Span: ...

    def close(self) -> None: ...


# That of the request or job which this thread is at, if it is traced.
active: ContextVar[Span | None] = ContextVar("span", default=None)

_NOTHING = nullcontext()


def span(
    name: str, attributes: Attributes | None = None, client: bool = False
) -> AbstractContextManager[None]:
    """A step of this request or job; `client`: that waits for another server. Nothing outside one.

    The name is one of few, and attributes hold nothing secret or personal.
    """
    found = active.get()
    return _NOTHING if found is None else found.step(name, attributes or {}, client)


def parent() -> str | None:
    """The span that this thread is in, as a `traceparent`, for what is done later or elsewhere.
    https://www.w3.org/TR/trace-context/#traceparent-header"""
    found = active.get()
    return None if found is None else found.parent()


def headers() -> dict[str, str]:
    """What a request to another service carries, so that it goes on with the trace."""
    return {} if (found := parent()) is None else {"traceparent": found}


def fail(error: BaseException) -> None:
    """Say of the request or job that it failed, by the error's type: its text may hold values."""
    if (found := active.get()) is not None:
        found.fail(error)
