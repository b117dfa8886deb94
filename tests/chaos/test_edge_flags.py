"""nginx of servers of one's own, and the files by which it is switched without a reload."""

import http.client
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from deploy.vps import edge
from deploy.vps.servers import Fleet, Server
from service.launcher import spawn
from tests.chaos.test_nginx import program
from tests.nginx import here
from tests.ports import free_port
from tests.waiting import until

NAMES = ("one", "two", "three")
TEMPORARY = "".join(
    f"{name}_temp_path {name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)
PROBLEM = "application/problem+json"


class Site:
    """nginx of a server, with its flags, and named servers in the place of web."""

    def __init__(self, folder: Path, files: Mapping[str, str], ports: Mapping[str, int]) -> None:
        self.flags, self._folder, self.port = folder / "edge", folder, free_port()
        self.flags.mkdir()
        for name, text in files.items():
            text = text.replace("listen 80 ", f"listen 127.0.0.1:{self.port} ")
            text = text.replace(edge.FLAGS, str(self.flags))
            for where, port in ports.items():
                text = text.replace(f"server {where} ", f"server 127.0.0.1:{port} ")
            (folder / name).write_text(here(text, folder))

    @contextmanager
    def served(self) -> Iterator["Site"]:
        """nginx, when web answers by way of it."""
        with self.started():
            until(lambda: self.ask("/health/live")[0] == 200)
            yield self

    @contextmanager
    def started(self) -> Iterator[None]:
        command = [program(), "-p", str(self._folder), "-c", "nginx.conf", "-e", "stderr"]
        with closing_process(spawn([*command, "-g", "daemon off; master_process off;"])):
            until(self._listens)
            yield

    def ask(self, path: str = "/api/users/me", method: str = "GET") -> tuple[int, str]:
        """The status, and who answered: a server's name, or the type of what nginx said itself."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, path)
            response = connection.getresponse()
            said = response.read().decode()
            return response.status, response.headers.get("Content-Type") or said

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False


@contextmanager
def closing_process(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def answering(name: str) -> Iterator[int]:
    """A server that says its name; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


class Killed:
    """A server that ends each connection after the request has come, so many times."""

    def __init__(self, times: int) -> None:
        self.asked = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._times = times
        self._thread = Thread(target=self._run)

    def __enter__(self) -> "Killed":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    connection.recv(65536)
                    self.asked += 1
                    if self.asked > self._times:
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


def fleet(count: int) -> Fleet:
    servers = tuple(
        Server(name=name, address=f"10.0.0.{number}", private=f"10.0.0.{number}", roles=("web",))
        for number, name in enumerate(NAMES[:count], 1)
    )
    first = servers[0].model_copy(update={"roles": ("web", "balancer")})
    return Fleet(domain="localhost", tls="none", keys=("-",), servers=(first, *servers[1:]))


def files(given: Fleet) -> dict[str, str]:
    said = subprocess.run([program(), "-v"], capture_output=True, text=True).stderr
    found = edge.files(given, given.servers[0], edge.Nginx(edge.version(said), ipv6=False))
    # nginx here is asked from this machine only, which maintenance lets through.
    found["nginx.conf"] = found["nginx.conf"].replace(r"127\.0\.0\.1|::1", r"192\.0\.2\.1")
    found["nginx.conf"] = found["nginx.conf"].replace("http {", f"http {{ {TEMPORARY}")
    return found


@pytest.fixture
def alone(tmp_path: Path, stack: ExitStack) -> Site:
    ports = {
        f"127.0.0.{half}:{port}": stack.enter_context(answering(colour))
        for half in (1, 2)
        for port, colour in ((8001, "blue"), (8002, "green"))
    }
    return stack.enter_context(Site(tmp_path, files(fleet(1)), ports).served())


@pytest.fixture
def balanced(tmp_path: Path, stack: ExitStack) -> Site:
    ports = {
        f"10.0.0.{number}:8080": stack.enter_context(answering(name))
        for number, name in enumerate(NAMES, 1)
    }
    return stack.enter_context(Site(tmp_path, files(fleet(3)), ports).served())


def test_the_flag_turns_from_a_colour_to_the_other_and_back(alone: Site) -> None:
    green = alone.flags / "green"
    assert alone.ask() == (200, "blue")
    green.touch()
    assert alone.ask() == (200, "green")
    green.unlink()
    assert alone.ask() == (200, "blue")


def test_maintenance_is_a_problem_and_health_is_asked_all_the_same(alone: Site) -> None:
    flag = alone.flags / "maintenance"
    flag.touch()
    assert alone.ask() == (503, PROBLEM)
    assert alone.ask("/api/auth/login", "POST") == (503, PROBLEM)
    assert [alone.ask(path)[0] for path in ("/health", "/health/live", "/health/ready")] == [
        200
    ] * 3
    assert alone.ask("/healthy")[0] == 503
    flag.unlink()
    assert alone.ask() == (200, "blue")


def test_a_flood_of_attempts_to_sign_in_is_stopped(alone: Site) -> None:
    answers = [alone.ask("/api/auth/login", "POST") for _ in range(40)]
    assert answers[:20] == [(200, "blue")] * 20
    assert answers[-1] == (429, PROBLEM)
    assert alone.ask("/api/auth/login", "GET") == (200, "blue")


@pytest.mark.parametrize("out", [(), ("one",), ("two", "three"), ("one", "three")])
def test_a_server_that_is_out_is_not_asked(balanced: Site, out: tuple[str, ...]) -> None:
    for name in out:
        (balanced.flags / f"out-{name}").touch()
    asked = {balanced.ask()[1] for _ in range(60)}
    assert asked == set(NAMES) - set(out)


def test_with_all_of_them_out_there_is_a_problem(balanced: Site) -> None:
    for name in NAMES:
        (balanced.flags / f"out-{name}").touch()
    assert balanced.ask() == (503, PROBLEM)


@pytest.mark.parametrize(
    ("method", "answer", "asked"), [("GET", (200, "back"), 4), ("POST", (503, PROBLEM), 1)]
)
def test_what_all_servers_have_dropped_is_sent_once_more_if_it_may_be(
    tmp_path: Path, stack: ExitStack, method: str, answer: tuple[int, str], asked: int
) -> None:
    server = stack.enter_context(Killed(times=3))
    where = ("127.0.0.1:8001", "127.0.0.2:8001", "127.0.0.1:8002")
    site = Site(tmp_path, files(fleet(1)), dict.fromkeys(where, server.port))
    stack.enter_context(site.started())
    assert site.ask(method=method) == answer
    assert server.asked == asked


def test_what_nobody_takes_is_a_problem(tmp_path: Path, stack: ExitStack) -> None:
    site = Site(
        tmp_path, files(fleet(1)), {f"127.0.0.1:{port}": free_port() for port in (8001, 8002)}
    )
    stack.enter_context(site.started())
    assert [site.ask(method=method) for method in ("GET", "POST")] == [(503, PROBLEM)] * 2
