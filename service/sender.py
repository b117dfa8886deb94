"""Sends spans to the collector, behind the back of the request that made them.

Nothing to change here. The library's BatchSpanProcessor does the same, but begins its thread before
a fork, waits for up to half a minute at the end, and does not tell what it dropped.
"""

import atexit
import logging
import os
import threading
import weakref
from contextlib import suppress
from queue import Empty, SimpleQueue

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExportResult

from service import metrics
from service.settings import Settings
from service.variables import headers

log = structlog.get_logger()

MOST = 4096  # spans that wait; some KiB each
BATCH = 512
PAUSE = 0.5  # seconds in which a batch may grow
PATIENCE = 5.0  # seconds for a batch, tries and pauses included
FLUSH_WITHIN = 2.0  # seconds that the end of a process waits for its last spans


class Reasons(logging.Filter):
    """Keeps what the exporter would log at each try: it is said once, by us."""

    first = ""

    def filter(self, record: logging.LogRecord) -> bool:
        self.first = self.first or record.getMessage()
        return False


_reasons = Reasons()
logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter").addFilter(_reasons)


class Sender(SpanProcessor):
    """A thread that sends spans, begun when there is the first one in a process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._begin_anew()
        # Weak: of an app that a SIGHUP has replaced, nothing stays.
        forget, close = weakref.WeakMethod(self._begin_anew), weakref.WeakMethod(self.close)
        os.register_at_fork(after_in_child=lambda: (method := forget()) and method())
        atexit.register(lambda: (method := close()) and method())

    def _begin_anew(self) -> None:
        self._waiting: SimpleQueue[ReadableSpan | None] = SimpleQueue()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._was_down = False
        # In the parent too: what it imports is shared then. It connects when it has what to send.
        self._exporter = self._make_exporter()

    def on_end(self, span: ReadableSpan) -> None:
        """Never waits: what there is no room for is lost, and counted."""
        if not span.context or not span.context.trace_flags.sampled:
            return
        if self._waiting.qsize() >= MOST:
            metrics.SPANS_LOST.inc()
            return
        self._waiting.put(span)
        if self._thread is None:
            self._start()

    def close(self) -> None:
        """Send what waits, for FLUSH_WITHIN at most."""
        if self._thread is not None and not self._closing.is_set():
            self._closing.set()
            self._waiting.put(None)
            self._thread.join(FLUSH_WITHIN)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="traces", daemon=True)
                with suppress(RuntimeError):  # no more threads: there is room for MOST
                    thread.start()
                    self._thread = thread

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            if self._waiting.qsize() < BATCH:
                self._closing.wait(PAUSE)
            batch = [first]
            with suppress(Empty):
                while len(batch) < BATCH:
                    if (more := self._waiting.get_nowait()) is None:
                        self._waiting.put(None)
                        break
                    batch.append(more)
            self._send(batch)

    def _make_exporter(self) -> OTLPSpanExporter:
        """With the headers as they are now: each process makes one of its own."""
        secret = self._settings.otel_exporter_otlp_headers
        return OTLPSpanExporter(
            f"{self._settings.otel_exporter_otlp_endpoint}/v1/traces",
            headers=headers(secret.get_secret_value()) if secret else {},
            timeout=PATIENCE,
        )

    def _send(self, batch: list[ReadableSpan]) -> None:
        _reasons.first = ""
        try:
            is_down = self._exporter.export(batch) is not SpanExportResult.SUCCESS
        except Exception as error:  # whatever it is, it must not end the thread
            is_down, _reasons.first = True, str(error)
        if is_down:
            metrics.SPANS_LOST.inc(len(batch))
            if not self._was_down:
                log.warning("traces are lost", reason=_reasons.first)
        elif self._was_down:
            log.info("traces are sent again")
        self._was_down = is_down
