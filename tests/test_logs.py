"""Logs: one format for all, a line for each request, and never a secret."""

import json
import re
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from service.environment import ROOT
from service.logs import hide
from tests.children import surroundings

SECRETS = re.compile(r"hunter2")

# What a process of the service may log, in one go.
PROGRAM = """
    import logging, warnings
    import structlog
    from service import logs
    from service.app import create_app
    from service.settings import Settings

    app = create_app(Settings(_env_file=None))
    log = structlog.get_logger()

    @app.get("/fail/<name>")
    def fail(name):
        local = "hunter2"
        try:
            raise ValueError("cannot reach postgresql://user:hunter2@db.example.com/name")
        except ValueError as error:
            raise RuntimeError("sent was: Authorization: Bearer hunter2.hunter2") from error

    client = app.test_client()
    client.get("/openapi.json?token=hunter2", headers={"X-Request-ID": "from-outside"})
    client.get("/fail/here", headers={"X-Request-ID": "failing", "Cookie": "hunter2"})
    client.get("/api/users/me", headers={"Authorization": "Bearer hunter2", "X-Request-ID": "a b"})
    client.get("/health/live")
    client.get("/nothing/hunter-of-holes")

    log.info("keys", password="hunter2", authorization="hunter2", database_url="hunter2", safe="1")
    log.info("nested", headers={"Authorization": "hunter2", "Set-Cookie": "hunter2", "Host": "h"})
    log.info("a redis://:hunter2@cache/0", other="amqp://user:hunter2@queue", url="https://h/x")
    log.info("half a pair \\ud800")
    log.debug("not written")
    logging.getLogger("library").warning("from %s", "postgresql://user:hunter2@h/d")
    try:
        raise KeyError("Bearer hunter2")
    except KeyError:
        logging.getLogger("library").exception("failed")
    warnings.warn("old")
    log.info("last")
"""


def run(**variables: str) -> str:
    environment = {
        **surroundings(),
        "DATABASE_URL": "postgresql://user:hunter2@127.0.0.1:1/nothing",
        "REDIS_URL": "redis://:hunter2@127.0.0.1:1/0",
        "JWT_SECRET": "hunter2" * 5,
        **variables,
    }
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM)]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@pytest.fixture(scope="module")
def output() -> str:
    """What is written in production."""
    return run()


@pytest.fixture(scope="module")
def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture(scope="module")
def console() -> str:
    """What is written in development, all of it."""
    return run(APP_ENV="development", LOG_LEVEL="DEBUG")


def of(lines: list[dict[str, Any]], **values: object) -> list[dict[str, Any]]:
    return [line for line in lines if values.items() <= line.items()]


def test_every_line_is_an_object_with_time_level_and_event(lines: list[dict[str, Any]]) -> None:
    assert lines[-1]["event"] == "last"
    for line in lines:
        assert {"time", "level", "event"} <= set(line)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["time"])


def test_a_request_is_one_line_with_route_status_and_duration(lines: list[dict[str, Any]]) -> None:
    (line,) = of(lines, event="request", request_id="from-outside")
    assert (line["method"], line["path"]) == ("GET", "/openapi.json")
    assert (line["route"], line["status"], line["client"]) == ("/openapi.json", 200, "127.0.0.1")
    assert line["duration_ms"] > 0
    (line,) = of(lines, event="request", path="/nothing/hunter-of-holes")
    assert (line["route"], line["status"]) == ("unmatched", 404)


def test_an_id_that_is_not_sane_is_replaced(lines: list[dict[str, Any]]) -> None:
    (line,) = of(lines, event="request", route="/api/users/me")
    assert re.fullmatch(r"[0-9a-f]{32}", line["request_id"])


def test_health_is_not_logged(output: str) -> None:
    assert "/health" not in output


def test_an_unhandled_error_is_logged_with_its_traceback_and_request(
    lines: list[dict[str, Any]],
) -> None:
    (line,) = of(lines, event="unhandled error")
    assert (line["level"], line["request_id"]) == ("error", "failing")
    assert "RuntimeError: sent was: Authorization: Bearer ***" in line["exception"]
    assert "ValueError: cannot reach postgresql://user:***@db.example.com" in line["exception"]
    (request,) = of(lines, event="request", request_id="failing")
    assert request["status"] == 500


def test_no_secret_is_ever_in_a_line(output: str, console: str) -> None:
    assert SECRETS.search(PROGRAM), "the control"
    assert not SECRETS.search(output)
    assert not SECRETS.search(console)


def test_what_is_no_secret_stays(lines: list[dict[str, Any]]) -> None:
    (line,) = of(lines, event="keys")
    assert (line["password"], line["authorization"], line["safe"]) == ("***", "***", "1")
    (line,) = of(lines, event="nested")
    assert line["headers"] == {"Authorization": "***", "Set-Cookie": "***", "Host": "h"}
    (line,) = of(lines, event="a redis://:***@cache/0")
    assert (line["other"], line["url"]) == ("amqp://user:***@queue", "https://h/x")


def test_libraries_log_in_the_same_format(lines: list[dict[str, Any]]) -> None:
    (line,) = of(lines, event="from postgresql://user:***@h/d")
    assert (line["logger"], line["level"]) == ("library", "warning")
    (line,) = of(lines, event="failed")
    assert "KeyError: 'Bearer ***'" in line["exception"]
    assert [line for line in lines if line.get("logger") == "py.warnings"]


def test_text_that_is_no_unicode_is_logged(lines: list[dict[str, Any]]) -> None:
    assert of(lines, event="half a pair \ud800")


def test_what_is_below_the_level_is_not_written(output: str, console: str) -> None:
    assert "not written" not in output
    assert "not written" in console


def test_development_logs_are_for_people(console: str) -> None:
    assert not any(line.startswith("{") for line in console.splitlines())
    assert re.search(r"\[info +\] request .*route=/openapi.json", console)
    assert "RuntimeError: sent was: Authorization: Bearer ***" in console
    assert "from postgresql://user:***@h/d" in console


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("postgresql://u:p%40@h/d", "postgresql://u:***@h/d"),
        ("redis://:p@h", "redis://:***@h"),
        ("https://h:8000/a@b", "https://h:8000/a@b"),
        ('{"a":"http://h:80","b":"x@y"}', '{"a":"http://h:80","b":"x@y"}'),
        ("Authorization: Bearer abc.def-g_h=", "Authorization: Bearer ***"),
        ("Bearer", "Bearer"),
    ],
)
def test_credentials_are_taken_out_of_text_and_nothing_else(text: str, hidden: str) -> None:
    assert hide(text) == hidden
