"""The smoke test, of a service that is well and of some that are not."""

import json
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg
import pytest
from redis import Redis as Client

from deploy import smoke
from deploy.__main__ import main
from service.devservers import Postgres, Redis
from service.environment import ROOT
from tests.children import Logs
from tests.serving import Served, own_database, variables
from tests.waiting import until

TOKEN = "a-token-of-the-tests-long-enough-for-production"
OF_SMOKE = "SELECT count(*) FROM jobs WHERE function = 'smoke.arrive'"  # others recur
BELIEVES = "client     FAILED .* it believes any X-Forwarded-For: PROXY_HOPS is larger"
NAMES = [check.__name__ for check in smoke.CHECKS]


def results(out: str) -> dict[str, str]:
    return {line.split()[0]: line.split()[1] for line in out.splitlines()}


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return str(path)


@contextmanager
def working(url: str, redis_url: str, **more: str) -> Iterator[None]:
    """A worker and a scheduler."""
    env = variables(url, redis_url) | more
    with (
        Logs(["-m", "service", "worker"], env, "worker started"),
        Logs(["-m", "service", "scheduler"], env, "scheduler started"),
    ):
        yield


def test_a_service_that_is_well_passes_and_keeps_nothing(
    postgres: Postgres,
    redis_server: Redis,
    token_file: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In production, behind a proxy that says who asks: us."""
    url = own_database(postgres)
    redis_url = f"{redis_server.url[:-1]}7"
    production = {"APP_ENV": "production", "COMMIT_SHA": "abcdef012", "SMOKE_TOKEN": TOKEN}
    production |= {"RATE_LIMIT_LOGIN": "5 per hour"}
    with (
        Served(url, redis_url, **production) as served,
        working(url, redis_url, **production),
    ):
        words = ["smoke", served.url, "--commit", "abcdef012", "--token-file", token_file]
        capsys.readouterr()
        assert main(words) == 0
        out = results(capsys.readouterr().out)
        assert out == dict.fromkeys(NAMES, "ok") | {"tls": "skipped", "redirect": "skipped"}

        for _ in range(6):  # it uses up no limit of those who sign in
            assert main(words) == 0
        capsys.readouterr()
        assert main([*words[:2], "--commit", "abcdef012", "--json"]) == 0
        said = capsys.readouterr()
        assert "passed, but for what was not looked at: tls, redirect, client, job" in said.err
        rows = json.loads(said.out)
        assert [row["check"] for row in rows] == NAMES
        assert {r["check"] for r in rows if r["result"] == "skipped"} == {
            "tls",
            "redirect",
            "client",
            "job",
        }

        assert main([*words[:2], "--commit", "abcdef0", "--web-only"]) == 0  # the begin of it
        assert main([*words[:2], "--client", "127.0.0.1"]) == 1
        assert "--client needs the service's SMOKE_TOKEN" in capsys.readouterr().err
        assert main([*words[:2], "--commit", "def", "--timeout", "4"]) == 1
        said = capsys.readouterr()
        assert "failed: ready: /health answers 200 of version abcdef012, not def" in said.err
        assert set(list(results(said.out).values())[1:]) == {"skipped"}
    with psycopg.connect(url) as connection:
        assert connection.execute(OF_SMOKE).fetchone() == (0,)
    with Client.from_url(redis_url) as client:
        assert [name for name in client.scan_iter() if b"smoke" in name] == []


def test_a_limit_that_is_used_up_fails_nothing(
    postgres: Postgres,
    redis_server: Redis,
    token_file: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By releases in a row, each of which asks, or by others of our address."""
    url, redis_url = own_database(postgres), f"{redis_server.url[:-1]}9"
    strict = {"SMOKE_TOKEN": TOKEN, "RATE_LIMIT_DEFAULT": "1 per hour", "WEB_CONCURRENCY": "1"}
    with Served(url, redis_url, **strict) as served, working(url, redis_url, **strict):
        for _ in range(2):
            # Now, and by a Redis that was not slow a moment ago.
            until(lambda: served.request("GET", "/api/users/me").status == 429)
            assert main(["smoke", served.url, "--token-file", token_file]) == 0
            out = capsys.readouterr().out
            skipped = {name for name, result in results(out).items() if result == "skipped"}
            assert skipped == {"tls", "redirect", "problems"}
            assert re.search(r"the limit of requests is used up: /api/\S+ answers 429, again", out)


def test_it_runs_with_python_alone(postgres: Postgres, redis_server: Redis) -> None:
    """As a release runs it: piped into a Python that has no packages."""
    program = Path(smoke.__file__).read_bytes()
    with Served(own_database(postgres), redis_server.url, COMMIT_SHA="abc") as served:
        command = [sys.executable, "-I", "-S", "-", served.url, "--commit", "abc", "--web-only"]
        ended = subprocess.run(command, input=program, capture_output=True)
        assert ended.returncode == 0, ended.stderr


def test_a_job_that_nobody_does_is_found_and_removed(
    postgres: Postgres,
    redis_server: Redis,
    token_file: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = own_database(postgres)
    with Served(url, f"{redis_server.url[:-1]}8", SMOKE_TOKEN=TOKEN) as served:
        words = ["smoke", served.url, "--timeout", "4", "--token-file", token_file]
        assert main(words) == 1
    said = capsys.readouterr()
    assert 'failed: health: /health says degraded: {"database": "up"' in said.err
    assert "the job is queued after 4 s: are worker, scheduler and Redis there?" in said.out
    with psycopg.connect(url) as connection:
        assert connection.execute(OF_SMOKE).fetchone() == (0,)


@pytest.mark.parametrize(
    ("more", "cause"),
    [
        (
            {"PROXY_HOPS": "1"},
            BELIEVES,
        ),
        (
            {"PROXY_HOPS": "2"},
            BELIEVES,
        ),
        ({"SMOKE_TOKEN": f"{TOKEN}-of-others"}, "job        FAILED .* /smoke answers 401: has the"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, "limits     FAILED .* without RateLimit headers"),
    ],
)
def test_what_is_set_wrong_is_named(
    postgres: Postgres,
    redis_server: Redis,
    token_file: str,
    capsys: pytest.CaptureFixture[str],
    more: dict[str, str],
    cause: str,
) -> None:
    with Served(own_database(postgres), redis_server.url, **{"SMOKE_TOKEN": TOKEN, **more}) as it:
        words = ["smoke", it.url, "--timeout", "1", "--token-file", token_file]
        assert main(words) == 1
    assert re.search(cause, capsys.readouterr().out)


Reply = Callable[[BaseHTTPRequestHandler], None]


def reply(status: int, kind: str, body: bytes, **headers: str) -> Reply:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Type": kind, **headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def breaks_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b'{"status": ')


def drips(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then, so that no single wait is long."""
    breaks_off(handler)
    for _ in range(100):
        handler.wfile.write(b" ")
        time.sleep(0.05)


@contextmanager
def answering(answer: Reply, certificate: Path | None = None) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):  # who asked has gone
                answer(self)

        do_HEAD = do_OPTIONS = do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # a client that refuses the certificate

    with Server(("127.0.0.1", 0), Handler) as server:
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            scheme = "https"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"{scheme}://localhost:{server.server_port}"
        finally:
            server.shutdown()


NOT_OK = '/health/ready answers 503: {"status": "not ready"'
NOT_READY = json.dumps({"status": "not ready", "reason": "draining"}).encode()


def never_ends(handler: BaseHTTPRequestHandler) -> None:
    """Of a length that nobody knows: what has come looks whole."""
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b'{"status": "ready"}')
    for _ in range(100):
        handler.wfile.write(b" ")
        time.sleep(0.05)


WRONG = [
    (
        reply(503, "application/json", NOT_READY),
        '/health/ready answers 503: {"status": "not ready"',
    ),
    (reply(200, "text/html", b"<h1>It works!</h1>"), "with what is no JSON: b'<h1>It works!</h1>'"),
    (reply(200, "application/json", b'{"ok": true}'), "but is not this service's: no status"),
    (reply(301, "text/html", b"", Location="/health/ready"), "JSON: b'', Location: /health/ready"),
    (breaks_off, "/health/ready is not answered: it breaks off in the middle"),
    (drips, "/health/ready is not answered to the end within 1 s"),
    (never_ends, "/health/ready is not answered to the end within 1 s"),
]


@pytest.mark.parametrize(("answer", "cause"), WRONG)
def test_each_wrong_answer_is_one_line(
    answer: Reply, cause: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if answer in (drips, never_ends):
        monkeypatch.setattr(smoke, "PATIENCE", 1)
    with answering(answer) as url:
        assert main(["smoke", f"{url}/", "--timeout", "0.5"]) == 1
    said = capsys.readouterr()
    assert said.err.splitlines()[-1].startswith("failed: ready: ")
    assert cause in said.err.splitlines()[-1]
    assert "Traceback" not in said.err


@pytest.mark.parametrize(("path", "code"), [("/health", 0), ("/health/none-of-ours", 1)])
def test_what_a_proxy_limits_is_not_looked_at_but_for_health(
    path: str, code: int, token_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Health has no limit: who is refused there knows nothing of the service at all."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        status = "ready" if handler.path == "/health/ready" else "healthy"
        well = reply(200, "application/json", json.dumps({"status": status}).encode())
        (well if handler.path in (path, "/health/ready") else reply(429, "text/html", b""))(handler)

    with answering(answer) as url:
        words = ["smoke", url, "--timeout", "0.5", "--token-file", token_file]
        assert main(words) == code
    skipped = {n for n, result in results(capsys.readouterr().out).items() if result == "skipped"}
    assert skipped == {*NAMES} - {"ready", *(["health"] if code == 0 else [])}


@pytest.mark.parametrize(("redis", "result"), [("up", "skipped"), ("down", "FAILED")])
def test_limits_that_are_not_counted_for_now_are_no_failure_while_redis_answers(
    redis: str, result: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(smoke, "BREATH", 0.1)
    health = json.dumps({"status": "ready", "checks": {"redis": {"status": redis}}}).encode()
    with answering(reply(200, "application/json", health)) as url:
        main(["smoke", url, "--timeout", "0.5", "--web-only"])
    assert results(capsys.readouterr().out)["limits"] == result


def test_one_server_of_a_name_can_be_asked_as_its_proxy_would(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[dict[str, str]] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(dict(handler.headers))
        reply(503, "application/json", NOT_READY)(handler)

    with answering(answer) as url:
        named = url.replace("localhost", "api.example.com")  # which is no address of ours
        words = ["smoke", named, "--timeout", "0.1", "--at", "127.0.0.1"]
        assert main(words) == 1
        assert main([*words, "--forwarded"]) == 1
    assert NOT_OK in capsys.readouterr().err
    assert {each["Host"] for each in asked} == {named.removeprefix("http://")}
    assert "X-Forwarded-Proto" not in asked[0]
    assert asked[-1]["X-Forwarded-Proto"] == "https"
    assert asked[-1]["X-Forwarded-For"] == "127.0.0.1"


def test_a_bad_certificate_is_said_and_can_be_borne(capsys: pytest.CaptureFixture[str]) -> None:
    certificate = ROOT / "tests" / "localhost.pem"
    with answering(reply(503, "application/json", NOT_READY), certificate) as url:
        assert main(["smoke", url]) == 1
        said = capsys.readouterr().err
        assert "waiting" not in said  # no waiting mends it
        assert "its certificate is not accepted: self-signed certificate (--insecure takes" in said
        assert main(["smoke", url, "--timeout", "0.1", "--insecure"]) == 1
        assert "answers 503" in capsys.readouterr().err


def test_where_no_tls_is_spoken_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(reply(200, "text/plain", b"")) as url:
        assert main(["smoke", url.replace("http:", "https:"), "--timeout", "0.1"]) == 1
    assert "is not answered: no TLS is spoken there: http?" in capsys.readouterr().err


def test_a_host_that_is_down_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as nobody:  # has the port, and does not listen
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        assert main(["smoke", f"http://127.0.0.1:{port}", "--timeout", "3"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("waiting: /health/ready is not answered: ")
    assert "Connection refused" in said.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ftp://example.com"], "'ftp://example.com' is no http:// or https:// URL"),
        (["example.com"], "'example.com' is no http:// or https:// URL"),
        (["https://example.com:port"], "is no http:// or https:// URL"),
        (["https://exa..mple.com"], "is no http:// or https:// URL"),
        (["https://example.com/api"], "is not scheme and host alone"),
        (["https://example.com", "--timeout", "soon"], "seconds from 1 to 3600 are needed"),
        (["https://example.com", "--commit", ""], "'' is no commit"),
        (["https://example.com", "--client", "me"], "invalid ip_address value: 'me'"),
    ],
)
def test_what_cannot_be_asked_is_a_matter_of_usage(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["smoke", *words])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"),
        (b"\xff\xfe", "is no text with a token"),
        (b"SMOKE_TOKEN=a-secret", "SMOKE_TOKEN is one word, without NAME= before it"),
        (b"DATABASE_URL=a-secret\nSMOKE_TOKEN=a-secret", "SMOKE_TOKEN is one word"),
    ],
)
def test_a_file_that_holds_no_token_is_said_and_not_shown(
    content: bytes | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    assert main(["smoke", "http://localhost", "--token-file", str(path)]) == 1
    shown = capsys.readouterr()
    assert said in shown.err
    assert "a-secret" not in shown.err + shown.out
