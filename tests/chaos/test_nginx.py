"""nginx with kept-alive connections to web: which of the two closes an idle one first."""

import http.client
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from service.devservers import Postgres, Redis
from service.launcher import spawn
from tests.chaos.load import Record
from tests.chaos.traffic import Traffic
from tests.ports import free_port
from tests.serving import Served, own_database
from tests.waiting import until

CONNECTIONS = 16
PAUSE = 3.5  # seconds: gunicorn looks once a second for connections that were idle for 2

SETTINGS = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr crit;
events {{}}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  upstream web {{ server 127.0.0.1:{web}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{listen};
    location / {{ proxy_pass http://web; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


class Nginx:
    """nginx before a server, as one process that can be made to stand still."""

    def __init__(self, folder: Path, served: Served) -> None:
        self.port, self._folder = free_port(), folder
        (folder / "nginx.conf").write_text(SETTINGS.format(web=served.port, listen=self.port))

    def __enter__(self) -> "Nginx":
        command = [program(), "-p", str(self._folder), "-c", "nginx.conf", "-e", "stderr"]
        self._process = spawn(command)
        until(self._answers)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def _answers(self) -> bool:
        with suppress(OSError), closing(self.connect()) as connection:
            connection.request("GET", "/health/live")
            return connection.getresponse().status == 200
        return False


def program() -> str:
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, "nginx is not installed: apt install nginx, or brew install nginx"
    return found


@pytest.fixture(scope="module")
def database_url(server: Postgres) -> str:
    return own_database(server)


@pytest.mark.parametrize(
    ("keepalive", "loses"), [("75s", False), pytest.param("2s", True, id="the control: 2s")]
)
def test_no_post_meets_a_connection_that_web_has_just_closed(
    keepalive: str,
    loses: bool,
    tmp_path: Path,
    database_url: str,
    redis_server: Redis,
    record_property: Record,
) -> None:
    """The race of a request with the end of an idle connection, which a proxy may not repeat.

    nginx stands still for a moment, as on a busy machine. Meanwhile POSTs come for it to send,
    and web closes what was idle for its `keepalive`.
    """
    with ExitStack() as stack:
        served = stack.enter_context(
            Served(database_url, redis_server.url, WEB_KEEPALIVE=keepalive, WEB_CONCURRENCY="1")
        )
        nginx = stack.enter_context(Nginx(tmp_path, served))
        traffic = Traffic(served)
        clients = [stack.enter_context(closing(nginx.connect())) for _ in range(CONNECTIONS)]
        send_all(clients, traffic)
        assert statuses(clients) == [201] * CONNECTIONS
        with nginx.standing_still():
            send_all(clients, traffic)
            resume = time.monotonic() + PAUSE
            until(lambda: time.monotonic() > resume)
        found = statuses(clients)
    line = f"{found.count(502)} x 502 of {len(found)} POSTs"
    record_property(f"nginx, keepalive {keepalive}", line)
    print(f"nginx, keepalive {keepalive}: {line}")
    assert (502 in found) == loses
    assert set(found) <= {201, 502}


def send_all(clients: list[http.client.HTTPConnection], traffic: Traffic) -> None:
    for client in clients:
        ask = traffic.create()
        headers = {"Content-Type": "application/json", **ask.headers}
        client.request(ask.method, ask.path, json.dumps(ask.body), headers)


def statuses(clients: list[http.client.HTTPConnection]) -> list[int]:
    responses = [client.getresponse() for client in clients]
    for response in responses:
        response.read()
    return [response.status for response in responses]
