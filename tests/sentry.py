"""A stand-in for Sentry: a server that keeps what the SDK sends it."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import brotli
import pytest

# The SDK packs as well as it can: what Locust brings along is not in the image.
UNPACKED = {None: bytes, "gzip": gzip.decompress, "br": brotli.decompress}


class Envelope(NamedTuple):
    """What Sentry's SDK sent: the headers of its request, and its events."""

    text: str
    auth: str
    events: list[dict[str, Any]]


class Sink(BaseHTTPRequestHandler):
    """Stands in for Sentry."""

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        raw = UNPACKED[self.headers["Content-Encoding"]](raw)
        events = [json.loads(line) for line in raw.splitlines()[1:] if b'"exception"' in line]
        auth = self.headers["X-Sentry-Auth"]
        self.server.received.append(Envelope(raw.decode(), auth, events))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def sink() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Sink) as server:
        server.received = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
