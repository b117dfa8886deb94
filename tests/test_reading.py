"""Clients that do not send the rest: what they can hold up, and for how long."""

import json
import socket
from collections.abc import Iterator

import pytest

from service.settings import Settings
from tests.serving import Served

# The limit that web has is a time which no test should wait for.
IMPATIENT = """
import sys
from service import server
server.READ_LIMIT = 1
from service.__main__ import main
sys.exit(main(["web"]))
"""
THREADS = 2


class Impatient(Served):
    """web with one process of few threads, which reads for a second."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            settings.database_url.get_secret_value(),
            settings.redis_url.get_secret_value(),
            WEB_CONCURRENCY="1",
            WEB_THREADS=str(THREADS),
        )
        self.command = ["-c", IMPATIENT]


@pytest.fixture(scope="module")
def served(settings: Settings) -> Iterator[Served]:
    with Impatient(settings) as started:
        yield started


@pytest.fixture
def sockets(served: Served) -> Iterator[list[socket.socket]]:
    """More connections than there are threads of any kind."""
    opened = [socket.create_connection(("127.0.0.1", served.port), timeout=20) for _ in range(6)]
    yield opened
    for each in opened:
        each.close()


def test_unfinished_requests_for_health_do_not_hold_up_health(
    served: Served, sockets: list[socket.socket]
) -> None:
    for each in sockets:
        each.sendall(b"GET /health/live HTTP/1.1\r\nHost: h\r\n")
    assert served.request("GET", "/health/live", timeout=5).status == 200


@pytest.mark.parametrize(
    "begin",
    [
        b"GET /openapi.json HTTP/1.1\r\nHost: h\r\n",
        b"POST /api/users HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\n\r\n{",
    ],
    ids=["head", "body"],
)
def test_who_does_not_send_the_rest_is_not_waited_for(
    served: Served, sockets: list[socket.socket], begin: bytes
) -> None:
    for each in sockets:
        each.sendall(begin)
    assert served.request("GET", "/openapi.json", timeout=20).status == 200


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        (b"Transfer-Encoding: chunked", b"zz\r\nhello"),
        (b"Content-Length: 500", b'{"email": "cut@example.com", "password": "off, but valid"}'),
    ],
    ids=["chunks", "length"],
)
def test_a_body_that_is_malformed_or_cut_off_is_refused(
    served: Served, head: bytes, rest: bytes
) -> None:
    request = b"POST /api/users HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
        connection.sendall(request + head + b"\r\n\r\n" + rest)
        connection.shutdown(socket.SHUT_WR)
        assert connection.makefile("rb").read().startswith(b"HTTP/1.1 400 ")


def test_a_request_that_is_answered_for_long_is_not_cut_off(served: Served) -> None:
    """It was read whole; the password's hash and the rest may take their time."""
    body = {"email": "slow@example.com", "password": "a long password"}
    assert served.request("POST", "/api/users", body).status == 201


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"X-Long: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"what is this\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_gets_a_problem(served: Served, sent: bytes, status: int) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
        connection.sendall(sent)
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Content-Type: application/problem+json" in head
    assert b"X-Content-Type-Options: nosniff" in head
    problem = json.loads(body)
    assert problem["status"] == status
    assert f"X-Request-ID: {problem['request_id']}".encode() in head
