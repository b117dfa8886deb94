"""Traces: what a request and its job send to a collector, and what they never do."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError

from service import tracing
from service.app import create_app
from service.db import session
from service.devservers import Postgres, Redis
from service.environment import project
from service.outbox import QUEUED, Job, enqueue
from service.queue import job
from service.rows import driver
from tests.collector import Collector, collector
from tests.conftest import make_settings
from tests.counted import counting
from tests.serving import own_database
from tests.working import job as job_of
from tests.working import work

__all__ = ["collector"]  # a fixture

TRACE, SPAN = "4b111111111111111111111111111136", "00f0670000000002"
SECRET = "hunter2-of-the-query"
PASSWORD = "a-password-of-mine"


@job(attempts=2, backoff=0)
def stumble(secret: str) -> None:
    with tracing.span("a step"):
        session.execute(text("SELECT 1 WHERE :secret = ''"), {"secret": secret})
    raise LookupError(secret)


@job()
def look() -> None:
    session.execute(text("SELECT 'looked'"))


@pytest.fixture(scope="module")
def migrated(postgres: Postgres) -> str:
    return own_database(postgres)


@pytest.fixture
def database_url(migrated: str) -> str:
    """Of a database without the jobs of another test."""
    with psycopg.connect(migrated) as connection:
        connection.execute("DELETE FROM jobs")
    return migrated


def made(url: str, redis: Redis, collector: Collector, **changes: Any) -> Flask:
    """An app that is traced, with some routes of these tests."""
    settings = make_settings(
        url,
        f"{redis.url[:-1]}7",
        otel_exporter_otlp_endpoint=collector.url,
        **{"metrics_token": None, **changes},
    )
    app = create_app(settings)

    @app.post("/api/stumble/<name>")
    def begin(name: str) -> dict[str, str]:
        id = enqueue(session, stumble, name)
        session.commit()
        return {"id": str(id)}

    @app.get("/api/fail")
    def fail() -> None:
        raise LookupError(SECRET)

    @app.get("/api/wrong")
    def wrong() -> None:
        session.execute(text("SELECT nothing FROM nowhere"))

    @app.post("/api/composed")
    def compose() -> dict[str, str]:
        query = sql.SQL("SELECT {}").format(sql.Literal(SECRET))
        return {"found": driver(session.connection()).execute(query).fetchall()[0][0]}

    return app


@pytest.fixture
def app(database_url: str, redis_server: Redis, collector: Collector) -> Iterator[Flask]:
    found = made(database_url, redis_server, collector)
    with found.app_context():  # connects, which is a span of its own
        session.execute(text("SELECT 1"))
        session.rollback()
    yield found
    close(found)


def close(app: Flask) -> None:
    app.extensions["tracer"].close()
    app.extensions["handover"].close()
    app.extensions["database"].engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return counting(app)


def test_a_request_and_the_attempts_at_its_job_are_one_trace(
    client: FlaskClient, app: Flask, collector: Collector
) -> None:
    id = UUID(client.post("/api/stumble/x").get_json()["id"])
    assert work(app) == 1
    with app.app_context():
        session.execute(update(Job).values(status=QUEUED))
        session.commit()
    assert work(app) == 1
    name = "job tests.test_tracing.stumble"
    (request,) = collector.wait_for("POST /api/stumble/<name>")
    attempts = collector.wait_for(name, 2)
    assert (request.kind, request.parent, request.failed) == ("SERVER", "", False)
    assert {(a.kind, a.trace, a.parent) for a in attempts} == {
        ("CONSUMER", request.trace, request.id)
    }
    assert [(a.failed, a.attributes["error.type"]) for a in attempts] == [(True, "LookupError")] * 2
    assert [a.attributes["attempt"] for a in attempts] == [1, 2]
    assert {a.attributes["job"] for a in attempts} == {str(id)}
    steps = collector.wait_for("a step", 2)
    assert [step.parent for step in steps] == [attempt.id for attempt in attempts]
    assert {step.failed for step in steps} == {False}
    assert (job_of(app, id).traceparent or "").startswith(f"00-{request.trace}-{request.id}-")


def test_a_request_tells_what_it_was_and_waited_for(
    client: FlaskClient, collector: Collector
) -> None:
    client.get("/api/users/0199a0a0?x=1", headers={"X-Request-ID": "mine"})
    client.post("/api/stumble/x", headers={"Host": "shop.example.com:8000"})
    (request,) = collector.wait_for("POST /api/stumble/<name>")
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/api/stumble/<name>",
        "http.response.status_code": 200,
        "url.path": "/api/stumble/x",
        "url.scheme": "http",
        "server.address": "shop.example.com",
        "request_id": request.attributes["request_id"],
    }
    assert request.resource["service.name"] == project()[0]
    assert request.resource["deployment.environment.name"] == "test"
    below = [span for span in collector.spans if span.parent == request.id]
    assert [span.name for span in below] == ["EVALSHA", "BEGIN", "INSERT"]
    assert {(span.kind, span.trace) for span in below} == {("CLIENT", request.trace)}
    assert below[2].attributes["db.query.text"].startswith("INSERT INTO jobs (")
    (unmatched,) = collector.named("GET")
    assert "http.route" not in unmatched.attributes
    assert (unmatched.attributes["request_id"], unmatched.failed) == ("mine", False)


def test_a_method_that_is_none_of_https_is_no_name_of_a_span(
    client: FlaskClient, collector: Collector
) -> None:
    client.open("/api/nothing", method="BREW")
    (request,) = collector.wait_for("HTTP")
    assert request.attributes["http.request.method"] == "_OTHER"


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [("/api/fail", 500, "LookupError"), ("/api/wrong", 500, "ProgrammingError")],
)
def test_a_request_that_failed_says_by_what(
    client: FlaskClient, collector: Collector, path: str, status: int, kind: str
) -> None:
    assert client.get(path).status_code == status
    (request,) = collector.wait_for(f"GET {path}")
    assert (request.failed, request.attributes["error.type"]) == (True, kind)
    statements = [span for span in collector.named("SELECT") if span.parent == request.id]
    assert [(s.failed, s.attributes["error.type"]) for s in statements] == (
        [(True, "UndefinedTable")] if path == "/api/wrong" else []
    )


@pytest.mark.parametrize(
    ("header", "trace", "parent"),
    [
        (f"00-{TRACE}-{SPAN}-01", TRACE, SPAN),
        (f"cc-{TRACE}-{SPAN}-01-of-the-future", TRACE, SPAN),
        (f"00-{TRACE}-{SPAN}-01-more", None, ""),
        (f"00-{'0' * 32}-{SPAN}-01", None, ""),
        (f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01", None, ""),
        (f"00-{TRACE.upper()}-{SPAN}-01", None, ""),
        ("00-\xff", None, ""),
        ("x" * 5000, None, ""),
    ],
)
def test_a_trace_that_comes_in_is_gone_on_with_and_a_broken_one_ignored(
    client: FlaskClient, collector: Collector, header: str, trace: str | None, parent: str
) -> None:
    sent = {"traceparent": header, "tracestate": "a=1,=,\xff"}
    assert client.get("/api/nothing", headers=sent).status_code == 404
    (request,) = collector.wait_for("GET")
    assert (request.parent, request.trace == TRACE) == (parent, trace == TRACE)


def test_who_says_that_a_trace_is_not_recorded_is_obeyed_by_the_job_too(
    client: FlaskClient, app: Flask, collector: Collector
) -> None:
    sent = {"traceparent": f"00-{TRACE}-{SPAN}-00"}
    id = UUID(client.post("/api/stumble/x", headers=sent).get_json()["id"])
    kept = (job_of(app, id).traceparent or "").split("-")
    assert (kept[1], kept[3]) == (TRACE, "00")
    work(app)
    client.get("/api/nothing")
    collector.wait_for("GET")
    assert {span.trace for span in collector.spans} == {collector.named("GET")[0].trace}


def test_of_traces_that_begin_here_a_share_is_sent(
    database_url: str, redis_server: Redis, collector: Collector
) -> None:
    app = made(database_url, redis_server, collector, otel_traces_sampler_arg=0)
    app.test_client().get("/api/nothing")
    app.test_client().get("/api/nothing", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    collector.wait_for("GET")
    close(app)
    assert {span.trace for span in collector.spans} == {TRACE}


def test_a_job_that_nobody_traced_begins_a_trace(app: Flask, collector: Collector) -> None:
    with app.app_context():
        enqueue(session, look)
        session.commit()
        assert session.scalars(select(Job.traceparent)).all() == [None]
    work(app)
    (attempt,) = collector.wait_for("job tests.test_tracing.look")
    assert (attempt.parent, attempt.failed) == ("", False)


def test_a_trace_holds_nothing_secret_or_personal(
    client: FlaskClient, app: Flask, collector: Collector
) -> None:
    account = {"email": "dora@example.com", "password": PASSWORD, "name": "Dora-of-mine"}
    token = {"Authorization": f"Bearer {SECRET}", "Cookie": f"a={SECRET}", "User-Agent": "my-agent"}
    client.post(f"/api/users?q={SECRET}", json=account, headers=token)
    client.post("/api/auth/login", json=account)
    client.get("/api/fail", environ_base={"REMOTE_ADDR": "203.0.113.9"})
    with app.app_context():
        enqueue(session, stumble, SECRET)
        session.commit()
    work(app)
    collector.wait_for("POST /api/auth/login")
    collector.wait_for("job tests.test_tracing.stumble")
    assert collector.wait_for("GET /api/fail")
    sent = b"".join(body for _, _, body in collector.requests)
    personal = (SECRET, PASSWORD, "dora@", "Dora-of-mine", "203.0.113.9", "my-agent", "$argon2")
    assert [word for word in personal if word.encode() in sent] == []


def test_of_a_statement_that_the_driver_composed_there_is_no_text(
    client: FlaskClient, collector: Collector
) -> None:
    assert client.post("/api/composed").get_json() == {"found": SECRET}
    collector.wait_for("POST /api/composed")
    (statement,) = collector.named("statement")
    assert statement.attributes == {"db.system.name": "postgresql"}


def test_the_collector_is_told_who_sends(
    database_url: str, redis_server: Redis, collector: Collector
) -> None:
    secret = SecretStr("x-honeycomb-team=a key, other=1%2C2")
    changes = {"otel_exporter_otlp_headers": secret, "otel_service_name": "shop"}
    app = made(database_url, redis_server, collector, **changes)
    app.test_client().get("/api/nothing")
    (span,) = collector.wait_for("GET")
    close(app)
    path, headers, body = collector.requests[0]
    assert path == "/v1/traces"
    assert (headers["x-honeycomb-team"], headers["other"]) == ("a key", "1,2")
    assert (span.resource["service.name"], b"a key" in body) == ("shop", False)


def test_the_switch_of_opentelemetry_turns_it_off_too(
    database_url: str, redis_server: Redis, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    app = made(database_url, redis_server, collector)
    id = UUID(app.test_client().post("/api/stumble/x").get_json()["id"])
    kept = job_of(app, id).traceparent
    assert work(app) == 1
    close(app)
    assert (kept, collector.requests) == (None, [])


def test_what_goes_elsewhere_carries_the_trace_and_nothing_outside_of_one(app: Flask) -> None:
    assert (tracing.headers(), tracing.parent()) == ({}, None)
    with tracing.span("nothing"), pytest.raises(ZeroDivisionError), tracing.span("nor this"):
        raise ZeroDivisionError

    @app.get("/api/headers")
    def told() -> dict[str, str]:
        return tracing.headers()

    sent = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
    found = app.test_client().get("/api/headers", headers=sent).get_json()
    assert found["traceparent"].startswith(f"00-{TRACE}-")
    assert SPAN not in found["traceparent"]


def test_statements_outside_of_a_request_begin_no_trace(app: Flask, collector: Collector) -> None:
    with app.app_context(), pytest.raises(DBAPIError):
        session.execute(text("SELECT nothing FROM nowhere"))
    app.test_client().get("/api/nothing")
    collector.wait_for("GET")
    assert collector.named("SELECT") == []
