"""The Redis client: time-outs, TLS, and a script that finds its way back after anything."""

import signal
import socketserver
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from redis import ConnectionError, Redis, TimeoutError
from redis.exceptions import ResponseError

from service import devservers
from service.redis import Script, make_client, packed
from tests.conftest import make_settings
from tests.counted import patient
from tests.waiting import until

NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"
CERTIFICATE = Path(__file__).with_name("localhost.pem")
ECHO = "return {#KEYS, tonumber(ARGV[1])}"


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[devservers.Redis]:
    with devservers.Redis(folder / "redis-client") as started:
        yield started


@pytest.fixture
def client(server: devservers.Redis) -> Iterator[Redis]:
    """A client of a Redis that knows no script and has counted no command."""
    with client_of(server.url) as made:
        patient(made)
        made.script_flush()
        made.config_resetstat()
        yield made


def client_of(url: str, **changes: Any) -> Redis:
    return make_client(make_settings(NO_DATABASE, url, **changes))


def calls(client: Redis, command: str) -> int:
    return client.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0)


def test_a_script_is_sent_once_and_then_named(client: Redis) -> None:
    script = Script(client, ECHO)
    assert [script(["a", "b"], [number]) for number in range(3)] == [[2, 0], [2, 1], [2, 2]]
    assert (calls(client, "eval"), calls(client, "evalsha")) == (1, 3)


def test_a_script_that_redis_has_forgotten_is_sent_again(client: Redis) -> None:
    script = Script(client, ECHO)
    script([], [1])
    client.script_flush()
    assert script([], [2]) == [0, 2]
    assert script([], [3]) == [0, 3]
    assert calls(client, "eval") == 2


def test_a_script_survives_a_restart_of_redis(server: devservers.Redis, client: Redis) -> None:
    script = Script(client, ECHO)
    script([], [1])
    server.restart()
    assert script([], [2]) == [0, 2]


def test_a_script_survives_that_its_connection_is_closed(client: Redis) -> None:
    script = Script(client, ECHO)
    for number in range(3):
        assert script([], [number]) == [0, number]
        client.client_kill_filter(_type="normal", skipme=True)


def test_a_script_fails_while_redis_is_down_and_works_again_after(
    server: devservers.Redis, client: Redis
) -> None:
    script = Script(client, ECHO)
    script([], [1])
    server.stop()
    for _ in range(2):
        with pytest.raises(ConnectionError):
            script([], [2])
    server.start()
    assert script([], [3]) == [0, 3]


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next(
    server: devservers.Redis, client: Redis
) -> None:
    client.connection_pool.connection_kwargs["socket_timeout"] = 2
    script = Script(client, ECHO)
    script([], [1])
    patient(client)
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            script([], [2])
    finally:
        server.process.send_signal(signal.SIGCONT)
    until(lambda: client.ping())
    assert [script([], [number]) for number in (3, 4)] == [[0, 3], [0, 4]]


def test_a_mistake_in_a_script_does_no_harm_to_the_next_call(client: Redis) -> None:
    wrong, right = Script(client, "return redis.call('NONE')"), Script(client, ECHO)
    for number in range(2):
        with pytest.raises(ResponseError):
            wrong([], [])
        assert right([], [number]) == [0, number]


def ids_of_connections(client: Redis) -> set[str]:
    return {each["id"] for each in client.client_list()}


@pytest.mark.parametrize(
    "command", [("PING",), ("EVALSHA", "abc", 1, "limit:ü", -5), ("SET", "", 0)]
)
def test_a_command_is_packed_as_the_client_packs_it(
    client: Redis, command: tuple[str | int, ...]
) -> None:
    connection = client.connection_pool.make_connection()
    assert packed(*command) == b"".join(connection.pack_command(*command))


def test_each_thread_has_a_connection_of_its_own(client: Redis) -> None:
    script = Script(client, ECHO)
    before = ids_of_connections(client)
    start = threading.Barrier(4)

    def numbers(_: int) -> set[int]:
        start.wait(10)
        return {script([], [number])[1] for number in range(20)}

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(numbers, range(4))) == [set(range(20))] * 4
        assert len(ids_of_connections(client) - before) == 4


def test_the_client_waits_little_and_does_not_try_again() -> None:
    options = client_of("redis://127.0.0.1:1/0").connection_pool.connection_kwargs
    assert options["socket_connect_timeout"] + options["socket_timeout"] <= 0.25
    assert options["retry"].get_retries() == 0


ANSWERS = {b"HELLO": b"%1\r\n$5\r\nproto\r\n:3\r\n", b"PING": b"+PONG\r\n"}


class Answering(socketserver.StreamRequestHandler):
    """Redis' protocol, as far as a handshake and a PING go."""

    def handle(self) -> None:
        for line in self.rfile:
            words = [self._word() for _ in range(int(line[1:]))]
            self.wfile.write(ANSWERS.get(words[0], b"+OK\r\n"))

    def _word(self) -> bytes:
        return self.rfile.read(int(self.rfile.readline()[1:]) + 2).strip().upper()


class TlsServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A handshake that the client ends is what some tests are about."""


@pytest.fixture
def tls_url() -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with TlsServer(("127.0.0.1", 0), Answering) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"rediss://localhost:{server.server_address[1]}/0"
        server.shutdown()
        thread.join()


def test_a_certificate_that_nobody_has_signed_is_refused(tls_url: str) -> None:
    with client_of(tls_url) as client:
        patient(client)
        with pytest.raises(ConnectionError, match="CERTIFICATE_VERIFY"):
            client.ping()


def test_it_is_taken_where_the_operator_says_so(tls_url: str) -> None:
    with client_of(tls_url, redis_tls_verify=False) as client:
        patient(client)
        assert client.ping()


def test_without_tls_the_setting_means_nothing(server: devservers.Redis) -> None:
    with client_of(server.url, redis_tls_verify=False) as client:
        assert client.ping()
