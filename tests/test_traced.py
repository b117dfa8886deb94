"""Traces of real processes: after a fork, at their end, and with a collector that is no good."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import REGISTRY

from service import sender
from service.devservers import Postgres, Redis
from service.sender import Sender
from service.variables import headers
from tests.children import Logs
from tests.collector import Collector, collector
from tests.conftest import make_settings
from tests.serving import Served, own_database, variables
from tests.test_metrics import read
from tests.waiting import until

__all__ = ["collector"]  # a fixture

ACCOUNT = {"password": "long enough to be good"}
NOWHERE = "postgresql+psycopg://127.0.0.1:1/x", "redis://127.0.0.1:1/0"


@pytest.fixture(scope="module")
def urls(postgres: Postgres, redis_server: Redis) -> tuple[str, str]:
    return own_database(postgres), f"{redis_server.url[:-1]}8"


@contextmanager
def worker(urls: tuple[str, str], **more: str) -> Iterator[Logs]:
    env = {**variables(*urls), "WORKER_CONCURRENCY": "1", **more}
    with Logs(["-m", "service", "worker"], env, "worker started") as started:
        yield started


def lost() -> float:
    return REGISTRY.get_sample_value("trace_spans_lost_total") or 0


def test_web_and_worker_send_one_trace_and_their_last_spans_at_the_end(
    urls: tuple[str, str], collector: Collector
) -> None:
    more = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    with Served(*urls, WEB_CONCURRENCY="2", **more) as web, worker(urls, **more) as jobs:
        sent = {"X-Request-ID": "of-mine"}
        body = {"email": "dora@example.com", **ACCOUNT}
        assert web.request("POST", "/api/users", body, sent).status == 201
        (done,) = until(lambda: jobs.events("job"))
        assert (jobs.stop(), web.stop()) == (0, 0)
        (logged,) = web.events("request")
    (request,) = collector.named("POST /api/users")
    (attempt,) = collector.named("job users.jobs.welcome")
    assert (attempt.trace, attempt.parent) == (request.trace, request.id)
    assert {logged["trace_id"], done["trace_id"]} == {request.trace}
    assert {logged["request_id"], done["request_id"]} == {"of-mine"}
    below = {span.name for span in collector.spans if span.parent == attempt.id}
    assert {"SELECT", "UPDATE"} <= below


def test_each_process_of_web_sends_its_own(urls: tuple[str, str], collector: Collector) -> None:
    more = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    with Served(*urls, WEB_CONCURRENCY="2", **more) as web:
        asked = 0
        while len(collector.clients) < 2 and asked < 1000:
            assert web.request("GET", "/openapi.json").status == 200
            asked += 1
        web.stop()
    assert asked < 1000
    assert len(collector.named("GET /openapi.json")) == asked


@pytest.mark.parametrize("how", ["unreachable", "silent", "failing", "refusing"])
def test_a_collector_that_is_no_good_delays_neither_a_request_nor_the_end(
    urls: tuple[str, str], collector: Collector, how: str
) -> None:
    collector.status = {"failing": 503, "refusing": 401}.get(how, 200)
    collector.delay = 60 if how == "silent" else 0
    url = "http://127.0.0.1:1" if how == "unreachable" else collector.url
    with Served(*urls, WEB_CONCURRENCY="1", OTEL_EXPORTER_OTLP_ENDPOINT=url) as web:
        began = time.monotonic()
        for _ in range(20):
            assert web.request("GET", "/openapi.json", timeout=5).status == 200
        if how == "refusing":
            until(lambda: read(web.request("GET", "/metrics").body.decode())[LOST] >= 20)
            (said,) = web.events("traces are lost")
            assert said["reason"] == "Failed to export spans batch code: 401, reason: Unauthorized"
        assert web.stop() == 0
        # One try is waited for by nobody; a thread that is at one would take longer than this.
        assert time.monotonic() - began < 20


LOST = ("trace_spans_lost_total", ())


def test_what_there_is_no_room_for_is_lost_and_counted(collector: Collector) -> None:
    collector.delay = 60
    settings = make_settings(*NOWHERE, otel_exporter_otlp_endpoint=collector.url)
    made, provider = Sender(settings), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(made)
    tracer = provider.get_tracer("tests")
    tracer.start_span("first").end()
    until(lambda: collector.requests)
    before = lost()
    for _ in range(sender.MOST + 7):
        tracer.start_span("more").end()
    assert lost() - before >= 7


def test_after_an_outage_they_are_sent_again(collector: Collector) -> None:
    settings = make_settings(*NOWHERE, otel_exporter_otlp_endpoint=collector.url)
    made, provider = Sender(settings), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(made)
    tracer = provider.get_tracer("tests")
    collector.status, before = 400, lost()
    tracer.start_span("lost").end()
    until(lambda: collector.requests)
    collector.status = 200
    tracer.start_span("sent").end()
    collector.wait_for("sent")
    made.close()
    assert collector.named("lost") == []
    assert lost() > before


def test_headers_are_read_as_the_specification_has_them() -> None:
    assert headers(" a=b, X-Key = c%20d==,") == {"a": "b", "x-key": "c d=="}
    assert headers("") == {}
