"""Spans by OpenTelemetry, imported only with OTEL_EXPORTER_OTLP_ENDPOINT; sender.py sends them.

Names follow https://opentelemetry.io/docs/specs/semconv/http/http-spans/. Add what a request's span
tells: `RequestSpan.answered`; nothing secret or personal: a trace leaves for another company.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service import logs, tracing
from service.environment import project
from service.sender import Sender
from service.settings import Settings
from service.tracing import Attributes

LONGEST = 1024  # characters of an attribute: a path or a statement may have more

_W3C = TraceContextTextMapPropagator()
_HOST = re.compile(r"([\w.-]{1,255}|\[[0-9A-Fa-f:.]+\])(?::\d+)?", re.ASCII)


class Span:
    """The span that this thread is in, until its end."""

    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer, self._span = tracer, span
        self._failed = False
        # The library's own context too: what else uses it finds the span there.
        self._before = context.attach(trace.set_span_in_context(span))
        found = span.get_span_context()  # none that is valid if OTEL_SDK_DISABLED is true
        trace_id = trace.format_trace_id(found.trace_id) if found.is_valid else None
        self._tokens = tracing.active.set(self), logs.trace_id.set(trace_id)

    def end(self) -> None:
        self._span.end()
        context.detach(self._before)
        tracing.active.reset(self._tokens[0])
        logs.trace_id.reset(self._tokens[1])

    @contextmanager
    def step(self, name: str, attributes: Attributes, client: bool) -> Iterator[None]:
        """A span below the one that this thread is in just now, if this one is recorded."""
        if not self._span.is_recording():
            yield
            return
        kind = SpanKind.CLIENT if client else SpanKind.INTERNAL
        span = self._tracer.start_span(name, kind=kind, attributes=attributes)
        token = context.attach(trace.set_span_in_context(span))
        try:
            yield
        except BaseException as error:
            _mark(span, _type(error))
            raise
        finally:
            context.detach(token)
            span.end()

    def parent(self) -> str | None:
        found: dict[str, str] = {}
        _W3C.inject(found)
        return found.get("traceparent")

    def fail(self, error: BaseException) -> None:
        self._failed = True
        _mark(self._span, _type(error))


class RequestSpan(Span):
    """The span of a request."""

    def answered(
        self, environ: dict[str, Any], method: str, route: str | None, status: int, scheme: str
    ) -> None:
        """Say what became of it; `method` is OTHER for what is none of HTTP's."""
        if not self._span.is_recording():
            return
        known = method != "OTHER"
        told: Attributes = {
            "http.request.method": method if known else "_OTHER",
            "http.response.status_code": status,
            "url.path": environ["PATH_INFO"],
            "url.scheme": scheme,
            "request_id": environ["service.request_id"],
        }
        if route:
            told["http.route"] = route
        if host := _HOST.fullmatch(environ.get("HTTP_HOST", "")):
            told["server.address"] = host[1]
        self._span.update_name(" ".join(filter(None, (method if known else "HTTP", route))))
        self._span.set_attributes(told)
        if status >= 500 and not self._failed:  # of an error its type says more
            _mark(self._span, str(status))


class Tracer:
    """Begins the spans of an app."""

    def __init__(self, settings: Settings) -> None:
        self._sender = Sender(settings)
        provider = TracerProvider(
            # Who calls us and has decided is obeyed: or there would be halves of traces.
            sampler=ParentBased(TraceIdRatioBased(settings.otel_traces_sampler_arg)),
            resource=Resource.create(
                {
                    "service.name": settings.otel_service_name or project()[0],
                    "service.version": settings.commit_sha,
                    "deployment.environment.name": settings.app_env,
                }
            ),
            shutdown_on_exit=False,  # it would wait for half a minute
            span_limits=SpanLimits(max_attribute_length=LONGEST),
        )
        provider.add_span_processor(self._sender)
        self._tracer = provider.get_tracer("service")

    def begin_request(self, environ: dict[str, Any]) -> RequestSpan:
        """The request's span; it goes on with the trace of who sent it, if that names one."""
        found = _context_of(environ.get("HTTP_TRACEPARENT"), environ.get("HTTP_TRACESTATE"))
        return RequestSpan(self._tracer, self._tracer.start_span("HTTP", found, SpanKind.SERVER))

    def begin_job(self, name: str, parent: str | None, attributes: Attributes) -> Span:
        """The span of an attempt at a job; it goes on with the trace of who enqueued it."""
        found = _context_of(parent)
        return Span(
            self._tracer, self._tracer.start_span(name, found, SpanKind.CONSUMER, attributes)
        )

    def close(self) -> None:
        """Send what waits, for a moment at most."""
        self._sender.close()


def _type(error: BaseException) -> str:
    """All that a trace tells of an error: its text may hold values."""
    return type(error).__qualname__


def _mark(span: trace.Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


def _context_of(traceparent: str | None, tracestate: str | None = None) -> Context:
    """The context that these name; an empty one, and so a new trace, if they are broken."""
    if not traceparent:
        return Context()
    carrier = {"traceparent": traceparent}
    if tracestate:
        carrier["tracestate"] = tracestate
    return _W3C.extract(carrier, Context())
