"""A stand-in for a collector of traces: an OTLP server that keeps what it is sent."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.waiting import until


class Span(NamedTuple):
    """What was sent of a span."""

    name: str
    kind: str  # SERVER, CLIENT, CONSUMER, INTERNAL
    trace: str
    id: str
    parent: str  # "" for the first of a trace
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]


class Collector(ThreadingHTTPServer):
    """Answers with `status`, after `delay` seconds."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Take)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.status, self.delay = 200, 0.0
        self.spans: list[Span] = []
        self.clients: set[Any] = set()  # the connections: each process has one of its own
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    def named(self, name: str) -> list[Span]:
        return [span for span in list(self.spans) if span.name == name]

    def wait_for(self, name: str, count: int = 1) -> list[Span]:
        """So many spans of this name, as soon as they are here."""
        return until(lambda: len(found := self.named(name)) >= count and found)


class Take(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.status
        self.server.clients.add(self.client_address)
        self.server.requests.append((self.path, dict(self.headers.items()), body))
        time.sleep(self.server.delay)
        if status == 200:
            self.server.spans += read(body)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def read(body: bytes) -> Iterator[Span]:
    for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
        for span in (span for scope in sent.scope_spans for span in scope.spans):
            yield Span(
                span.name,
                span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                span.status.code == span.status.STATUS_CODE_ERROR,
                _plain(span.attributes),
                _plain(sent.resource.attributes),
            )


def _plain(pairs: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in pairs}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
