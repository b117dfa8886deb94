"""Error reports: a real envelope for what nobody foresaw, with nothing personal in it."""

import json
import subprocess
import sys
import textwrap
from http.server import ThreadingHTTPServer

from service.environment import ROOT
from tests.children import surroundings
from tests.sentry import Envelope

# Everything of a request that says who sent it, or what. Given as arguments, for a report shows
# the lines of the source.
PERSONAL = {
    "password": "hunter2",
    "header": "x-header-of-mine",
    "address": "203.0.113.9",
    "email": "alice@example.com",
    "query": "query-of-mine",
    "local": "local-of-mine",
    "agent": "agent-of-mine",
}
PROGRAM = """
    import sys, json
    from service import reports
    from service.app import create_app
    from service.settings import Settings

    paths, own = map(json.loads, sys.argv[1:])
    app = create_app(Settings(_env_file=None))

    @app.post("/fail/<name>")
    def fail(name):
        local = own["local"]
        raise RuntimeError(f"boom at postgresql://user:{own['password']}@h/d")

    client = app.test_client()
    headers = {
        "Authorization": f"Bearer {own['password']}",
        "Cookie": f"session={own['password']}",
        "X-Header-Of-Mine": own["header"],
        "X-Forwarded-For": own["address"],
        "User-Agent": own["agent"],
        "X-Request-ID": "the-request",
    }
    for path in paths:
        client.post(
            f"{path}?q={own['query']}",
            json={"email": own["email"]},
            headers=headers,
            environ_base={"REMOTE_ADDR": own["address"]},
        )
    reports.flush(30)
"""


def run(program: str, *arguments: object, **variables: str) -> str:
    environment = {
        **surroundings(),
        "DATABASE_URL": "postgresql://127.0.0.1:1/nothing",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "JWT_SECRET": "x" * 32,
        **variables,
    }
    command = [sys.executable, "-c", textwrap.dedent(program), *map(json.dumps, arguments)]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def reported(sink: ThreadingHTTPServer, *paths: str, traces: str = "0") -> list[Envelope]:
    """What arrives when these are posted to."""
    dsn = f"http://publickey@127.0.0.1:{sink.server_port}/42"
    more = {"COMMIT_SHA": "abc123", "APP_ENV": "staging", "SENTRY_TRACES_SAMPLE_RATE": traces}
    run(PROGRAM, paths, PERSONAL, SENTRY_DSN=dsn, **more)
    return sink.received  # type: ignore[attr-defined, no-any-return]


def test_an_unhandled_error_is_reported_once_and_nothing_personal_with_it(
    sink: ThreadingHTTPServer,
) -> None:
    of_the_client = (
        "/nothing",
        "/api/auth/login",
        "/api/auth/logout",
        "/health",
    )  # 404, 422, 401, 405
    (envelope,) = reported(sink, *of_the_client, "/fail/here")
    (event,) = envelope.events
    assert "sentry_key=publickey" in envelope.auth
    assert (event["release"], event["environment"]) == ("abc123", "staging")
    assert event["tags"] == {"request_id": "the-request"}
    assert event["transaction"] == "POST /fail/<name>"
    (exception,) = event["exception"]["values"]
    assert (exception["type"], exception["value"]) == (
        "RuntimeError",
        "boom at postgresql://user:***@h/d",
    )
    assert exception["stacktrace"]["frames"][-1]["function"] == "fail"
    assert [word for word in PERSONAL.values() if word in envelope.text] == []
    assert not {"request", "user"} & set(event)
    assert event["breadcrumbs"]["values"] == []


def test_a_trace_tells_nothing_personal_either(sink: ThreadingHTTPServer) -> None:
    envelopes = reported(sink, "/api/auth/login", "/fail/here", traces="1")
    text = "".join(envelope.text for envelope in envelopes)
    assert '"type":"transaction"' in text
    assert '"type":"session' not in text
    assert [word for word in PERSONAL.values() if word in text] == []


def test_what_is_used_by_some_only_is_not_imported_for_all() -> None:
    shown = run("""
        import os, sys
        from service.app import create_app
        heavy = ("sentry_sdk", "flask_cors", "boto3", "botocore", "alembic", "psutil",
            "opentelemetry", "google", "requests")
        create_app()
        print(*(name for name in heavy if name in sys.modules))
        os.environ |= {"SENTRY_DSN": "http://key@127.0.0.1:1/1", "FRONTEND_URL": "https://h"}
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:1"
        create_app()
        print(*(name for name in heavy if name in sys.modules))
    """)
    assert shown.splitlines() == [
        "",
        "sentry_sdk flask_cors psutil opentelemetry google requests",  # psutil: by OpenTelemetry
    ]
