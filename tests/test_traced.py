"""Traces of real processes: after a fork, at their end, and with a collector that is no good."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer
from prometheus_client import REGISTRY

from service import sender
from service.devservers import Postgres, Redis
from service.environment import ROOT
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
    """And a scheduler, for what web could not hand over: Redis may be slow for a moment."""
    env = {**variables(*urls), "WORKER_CONCURRENCY": "1"}
    with (
        Logs(["-m", "service", "scheduler"], env, "scheduler started"),
        Logs(["-m", "service", "worker"], env | more, "worker started") as started,
    ):
        yield started


@contextmanager
def sending(collector: Collector) -> Iterator[tuple[Sender, Tracer]]:
    settings = make_settings(*NOWHERE, otel_exporter_otlp_endpoint=collector.url)
    made, provider = Sender(settings), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(made)
    yield made, provider.get_tracer("tests")
    made.close()


def welcomes(jobs: Logs) -> list[dict[str, Any]]:
    """The attempts at one: what recurs may be due meanwhile."""
    return [each for each in jobs.events("job") if each["function"] == "users.jobs.welcome"]


def lost() -> float:
    return REGISTRY.get_sample_value("trace_spans_lost_total") or 0


def test_web_and_worker_send_one_trace(urls: tuple[str, str], collector: Collector) -> None:
    more = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    with Served(*urls, WEB_CONCURRENCY="2", **more) as web, worker(urls, **more) as jobs:
        sent = {"X-Request-ID": "of-mine"}
        body = {"email": "dora@example.com", **ACCOUNT}
        assert web.request("POST", "/api/users", body, sent).status == 201
        (done,) = until(lambda: welcomes(jobs))
        assert (jobs.stop(), web.stop()) == (0, 0)
        (logged,) = web.events("request")
    (request,) = collector.named("POST /api/users")
    (attempt,) = collector.named("job users.jobs.welcome")
    assert (attempt.trace, attempt.parent) == (request.trace, request.id)
    assert {logged["trace_id"], done["trace_id"]} == {request.trace}
    assert {logged["request_id"], done["request_id"]} == {"of-mine"}
    below = {span.name for span in collector.spans if span.parent == attempt.id}
    assert {"SELECT", "UPDATE"} <= below


def test_a_web_that_ends_sends_its_last_spans(urls: tuple[str, str], collector: Collector) -> None:
    collector.delay = 1
    with Served(*urls, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, WEB_CONCURRENCY="1") as web:
        web.request("GET", "/openapi.json")
        until(lambda: collector.requests)  # which is answered after the end has begun
        collector.delay = 0
        web.request("GET", "/")
        assert web.stop() == 0
    assert collector.named("GET /")


def test_a_worker_that_ends_sends_its_last_spans(
    urls: tuple[str, str], collector: Collector
) -> None:
    collector.delay = 2
    with (
        Served(*urls, WEB_CONCURRENCY="1") as web,
        worker(urls, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as jobs,
    ):
        for number in range(2):
            body = {"email": f"bob{number}@example.com", **ACCOUNT}
            assert web.request("POST", "/api/users", body).status == 201
            until(lambda: len(welcomes(jobs)) == number + 1)  # noqa: B023
            until(lambda: collector.requests)
            collector.delay = 0
        assert jobs.stop() == 0
    assert len(collector.named("job users.jobs.welcome")) == 2


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
def test_a_collector_that_is_no_good_delays_no_request_and_no_end(
    urls: tuple[str, str], collector: Collector, how: str
) -> None:
    collector.status = {"failing": 503, "refusing": 401}.get(how, 200)
    collector.delay = 60 if how == "silent" else 0
    url = "http://127.0.0.1:1" if how == "unreachable" else collector.url
    with Served(*urls, WEB_CONCURRENCY="1", OTEL_EXPORTER_OTLP_ENDPOINT=url) as web:
        for _ in range(20):
            assert web.request("GET", "/openapi.json", timeout=5).status == 200
        if how == "refusing":
            until(lambda: read(web.request("GET", "/metrics").body.decode())[LOST] >= 20)
            (said,) = web.events("traces are lost")
            assert said["reason"] == "Failed to export spans batch code: 401, reason: Unauthorized"
        assert web.stop() == 0


LOST = ("trace_spans_lost_total", ())


def test_the_end_of_a_process_does_not_wait_for_a_collector_that_says_nothing(
    collector: Collector,
) -> None:
    collector.delay = 60
    with sending(collector) as (made, tracer):
        tracer.start_span("first").end()
        until(lambda: collector.requests)
        made.close()
        assert any(thread.name == "traces" for thread in threading.enumerate())


def test_after_a_fork_there_are_spans_of_the_child_alone(collector: Collector) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FORK, collector.url], cwd=ROOT, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(span.name for span in collector.spans) == ["child", "first", "parent"]


# A parent with a thread, and a span that waits.
FORK = """
import os, sys, warnings
from opentelemetry.sdk.trace import TracerProvider
from service.environment import ROOT
from service.sender import Sender
from tests.conftest import make_settings

warnings.simplefilter("ignore")
made, provider = Sender(make_settings(
    "postgresql+psycopg://127.0.0.1:1/x", "redis://[::1]:1", otel_exporter_otlp_endpoint=sys.argv[1]
)), TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(made)
tracer = provider.get_tracer("tests")
tracer.start_span("first").end()
tracer.start_span("parent").end()
if child := os.fork():
    assert os.waitpid(child, 0)[1] == 0
else:
    tracer.start_span("child").end()
    made.close()
    os._exit(0)
"""


def test_what_there_is_no_room_for_is_lost_and_counted(collector: Collector) -> None:
    collector.delay = 60
    with sending(collector) as (_, tracer):
        tracer.start_span("first").end()
        until(lambda: collector.requests)
        before = lost()
        for _ in range(sender.MOST + 7):
            tracer.start_span("more").end()
        assert lost() - before >= 7


def test_after_an_outage_they_are_sent_again(collector: Collector) -> None:
    collector.status, before = 400, lost()
    with sending(collector) as (_, tracer):
        tracer.start_span("lost").end()
        until(lambda: collector.requests)
        collector.status = 200
        tracer.start_span("sent").end()
        collector.wait_for("sent")
    assert collector.named("lost") == []
    assert lost() > before


def test_headers_are_read_as_the_specification_has_them() -> None:
    assert headers(" a=b, X-Key = c%20d==,") == {"a": "b", "x-key": "c d=="}
    assert headers("") == {}
