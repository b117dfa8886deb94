"""The smoke test, of a service that is well and of some that are not."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy import smoke
from deploy.__main__ import main
from service.devservers import Postgres, Redis
from tests.serving import Served, own_database


def test_a_service_that_is_well_passes_with_python_alone(
    postgres: Postgres, redis_server: Redis
) -> None:
    """As a release runs it: piped into a Python that has no packages."""
    program = Path(smoke.__file__).read_bytes()
    with Served(own_database(postgres), redis_server.url, COMMIT_SHA="abc") as served:
        for wanted, code in (("abc", 0), ("def", 1)):
            command = [sys.executable, "-I", "-S", "-", served.url, wanted]
            ended = subprocess.run(command, input=program, capture_output=True)
            assert ended.returncode == code, ended.stderr
    assert b"FAILED: /health answers 200 of version abc, not def" in ended.stdout


@contextmanager
def answering(answer: Callable[[str], tuple[int, str, bytes]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_each_wrong_answer_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    body = json.dumps({"status": "not ready", "version": "1"}).encode()
    with answering(lambda path: (503, "application/json", body)) as url:
        assert main(["smoke", url, "--version", "2"]) == 1
    out = capsys.readouterr().out
    for said in (
        '/health/ready answers 503: {"status": "not ready", "version": "1"}',
        "/health answers 503 of version 1, not 2",
        "/api/users/me without a token answers 503, application/json",
        "/openapi.json answers 503, without paths",
    ):
        assert said in out


def test_what_is_no_service_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(lambda path: (200, "text/html", b"<h1>It works!</h1>")) as url:
        assert main(["smoke", f"{url}/"]) == 1
    assert "/health/ready answers 200 with what is no JSON: b'<h1>It" in capsys.readouterr().out
    assert main(["smoke", "http://127.0.0.1:1"]) == 1
    assert "/health/ready is not answered: " in capsys.readouterr().out
