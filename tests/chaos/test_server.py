"""web is reloaded, handed over, stopped and killed under 16 clients: what they see of it."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import pairwise
from pathlib import Path

import psutil
import psycopg
import pytest

from service.devservers import Postgres, Redis
from service.environment import ROOT
from service.launcher import spawn
from tests.chaos.load import Ask, Load, Outcome, Record, failed, figures, send
from tests.chaos.traffic import TABLE, a_read, send_to
from tests.serving import Served, own_database
from tests.waiting import until

READY = Ask("GET", "/health/ready")


class Activated(Served):
    """web on a socket that it inherits as from a socket unit of systemd: number 3, for its pid."""

    def __init__(self, listener: socket.socket, database_url: str, redis_url: str) -> None:
        super().__init__(database_url, redis_url, WEB_THREADS="4", LISTEN_FDS="1")
        self.port, self._listener = listener.getsockname()[1], listener

    def launch(self) -> None:
        activate = f"""if True:
            import os, sys
            os.dup2({self._listener.fileno()}, 3)
            os.environ["LISTEN_PID"] = str(os.getpid())
            os.execv(sys.executable, [sys.executable, "-m", "service", "web"])
        """
        self.process = spawn(
            [sys.executable, "-c", activate],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(self._listener.fileno(),),
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()


@pytest.fixture(scope="module")
def database_url(server: Postgres) -> str:
    return own_database(server)


Start = Callable[..., Served]


@pytest.fixture
def start(database_url: str, redis_server: Redis) -> Start:
    """Make a web server with these variables, to be started by `with`."""

    def make(**variables: str) -> Served:
        return Served(database_url, redis_server.url, **{"WEB_THREADS": "4"} | variables)

    return make


def workers(served: Served) -> set[int]:
    return {child.pid for child in psutil.Process(served.process.pid).children()}


@contextmanager
def locked(database_url: str) -> Iterator[Callable[[], None]]:
    """Requests for a list wait until this ends; gives what waits until one does."""
    query = f"SELECT count(*) FROM pg_locks WHERE relation = '{TABLE}'::regclass AND NOT granted"
    with psycopg.connect(database_url) as other:
        other.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
        yield lambda: until(lambda: other.execute(query).fetchall() != [(0,)])


def load_on(served: Served) -> Load:
    """Clients of whom half keep their connections."""
    ask = a_read(served)
    return Load(served.port, lambda: ask, lambda: ask._replace(keep_alive=False))


def kept_alive(served: Served) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)


class Pending:
    """A request on its way, in a thread: it has been sent, and its outcome comes later."""

    def __init__(self, served: Served, ask: Ask) -> None:
        self._connection = kept_alive(served)
        self._found: list[Outcome] = []
        self._thread = threading.Thread(target=self._send, args=(ask,))
        self._thread.start()

    def _send(self, ask: Ask) -> None:
        with closing(self._connection):
            self._found.append(send(self._connection, ask))

    def outcome(self) -> tuple[int, str]:
        self._thread.join()
        return self._found[0].status, self._found[0].error


def test_no_request_fails_in_three_reloads(start: Start, record_property: Record) -> None:
    with start() as served, load_on(served) as load:
        load.wait_for_more()
        for _ in range(3):
            old = workers(served)
            served.process.send_signal(signal.SIGHUP)
            until(lambda old=old: len(workers(served) - old) == 2)
            load.wait_for_more()
        until(lambda: len(workers(served)) == 2)
    figures(record_property, "three reloads", load.outcomes)
    assert failed(load.outcomes) == []


def test_no_request_fails_when_a_new_master_takes_over_the_socket(
    database_url: str, redis_server: Redis, record_property: Record
) -> None:
    """What a release does: the new master is ready before the old one is stopped."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener, ExitStack() as stack:
        masters = [Activated(listener, database_url, redis_server.url) for _ in range(3)]
        stack.enter_context(masters[0])
        with load_on(masters[0]) as load:
            for old, new in pairwise(masters):
                load.wait_for_more()
                stack.enter_context(new)
                until(lambda new=new: len(workers(new)) == 2)
                assert old.stop() == 0
            load.wait_for_more()
    figures(record_property, "two hand-overs", load.outcomes)
    assert failed(load.outcomes) == []


def test_a_stop_and_a_start_lose_requests(start: Start, record_property: Record) -> None:
    """The control."""
    served = start()
    with served, load_on(served) as load:
        load.wait_for_more()
        assert served.stop() == 0
        served.start()
        load.wait_for_more()
    assert figures(record_property, "stop and start", load.outcomes).total() > 0


def test_sigterm_lets_requests_finish_and_says_that_it_drains(
    start: Start, database_url: str
) -> None:
    with start() as served, closing(kept_alive(served)) as watcher:
        assert send(watcher, READY).status == 200
        ask = a_read(served)
        with locked(database_url) as wait_for_waiting:
            slow = Pending(served, ask)
            wait_for_waiting()
            served.process.send_signal(signal.SIGTERM)
            until(lambda: send(watcher, READY).status == 503)
        assert slow.outcome() == (200, "")
        assert served.end() == 0


def test_a_request_over_the_grace_is_cut(start: Start, database_url: str) -> None:
    with start(SHUTDOWN_GRACE="1s") as served:
        ask = a_read(served)
        with locked(database_url) as wait_for_waiting:
            slow = Pending(served, ask)
            wait_for_waiting()
            began = time.monotonic()
            assert served.stop() == 0
            assert time.monotonic() - began < 5
            assert slow.outcome() == (0, "RemoteDisconnected")


def test_a_killed_worker_is_replaced(start: Start) -> None:
    with start() as served:
        old = workers(served)
        os.kill(min(old), signal.SIGKILL)
        until(lambda: len(workers(served)) == 2 and workers(served) != old)
        assert served.request("GET", "/health/ready").status == 200


def test_a_clean_stop_leaves_no_file_in_memory(start: Start) -> None:
    """The metrics' folder; one for all reloads."""
    with start() as served:
        folders = {Path(path).parent for path in open_files(served)}
        assert len(folders) == 1
        old = workers(served)
        served.process.send_signal(signal.SIGHUP)
        until(lambda: len(workers(served)) == 2 and not workers(served) & old)
        send_to(served, a_read(served))
        folders |= {Path(path).parent for path in open_files(served)}
        assert served.stop() == 0
    assert [folder for folder in folders if folder.exists()] == []
    assert len(folders) == 1


def open_files(served: Served) -> list[str]:
    """The files of metrics that are open in the workers."""
    family = [psutil.Process(pid) for pid in workers(served)]
    paths = [file.path for process in family for file in process.open_files()]
    return [path for path in paths if path.endswith(".db")]
