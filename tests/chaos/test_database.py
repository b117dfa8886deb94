"""PostgreSQL restarts, crashes, is gone, hangs and is slow: what 16 clients of web see of it."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil
import psycopg
import pytest

from service.devservers import Postgres, Redis
from service.health import FRESH
from tests.chaos.load import Load, Record, failed, figures
from tests.chaos.traffic import TABLE, Traffic, a_read, assert_right_or_503, send_to
from tests.serving import Answer, Served, own_database
from tests.waiting import until


def restart(server: Postgres) -> None:
    server.restart()


def crash(server: Postgres) -> None:
    server.kill()
    server.start()


MISFORTUNES = pytest.mark.parametrize("misfortune", [restart, crash])
HEALTH = {"/health/live": 200, "/health": 503, "/health/ready": 503}


@pytest.fixture(scope="module")
def database_url(server: Postgres) -> str:
    return own_database(server)


@pytest.fixture(scope="module")
def served(database_url: str, redis_server: Redis) -> Iterator[Served]:
    with Served(database_url, redis_server.url, WEB_THREADS="4") as started:
        yield started


@pytest.fixture(scope="module")
def traffic(served: Served) -> Traffic:
    return Traffic(served)


def is_well(served: Served, traffic: Traffic) -> bool:
    """Whether every process is over the outage of the test before: for a second after one that
    lasted, only one of its threads tries to connect."""
    with Load(served.port, traffic.index) as load:
        load.wait_for_more(100)
    return failed(load.outcomes) == []


@MISFORTUNES
def test_no_read_fails_while_the_database_restarts_and_each_write_is_right_or_503(
    misfortune: Callable[[Postgres], None],
    server: Postgres,
    served: Served,
    traffic: Traffic,
    database_url: str,
    record_property: Record,
) -> None:
    makers = [traffic.index, traffic.show, traffic.index, traffic.create]
    until(lambda: is_well(served, traffic))
    with Load(served.port, *makers) as load:
        load.wait_for_more()
        misfortune(server)
        load.wait_for_more()
    reads, writes = load.of("GET"), load.of("POST")
    figures(record_property, f"reads, {misfortune.__name__}", reads)
    figures(record_property, f"writes, {misfortune.__name__}", writes)
    assert failed(reads) == []
    assert_right_or_503(writes, database_url)


@MISFORTUNES
def test_reads_fail_when_connecting_is_not_tried_again(
    misfortune: Callable[[Postgres], None],
    server: Postgres,
    redis_server: Redis,
    database_url: str,
    traffic: Traffic,
    record_property: Record,
) -> None:
    """The control."""
    with (
        Served(database_url, redis_server.url, DATABASE_CONNECT_RETRIES="0") as naive,
        Load(naive.port, traffic.index, traffic.show) as load,
    ):
        load.wait_for_more()
        misfortune(server)
        load.wait_for_more()
    assert figures(record_property, f"control, {misfortune.__name__}", load.outcomes).total() > 0


def test_without_a_database_requests_are_503_and_it_comes_back_by_itself(
    server: Postgres, served: Served, traffic: Traffic, record_property: Record
) -> None:
    server.stop()
    try:
        anew = traffic.index()._replace(keep_alive=False)  # so that each process is asked
        with Load(served.port, lambda: anew) as first:
            first.wait_for_more(64)
        with Load(served.port, traffic.index) as load:
            load.wait_for_more()
            assert_health_tells(served)
        figures(record_property, "without a database", load.outcomes)
        assert {outcome.status for outcome in load.outcomes} == {503}
        assert all("Retry-After" in outcome.headers for outcome in load.outcomes)
        assert max(outcome.seconds for outcome in load.outcomes) < 2
    finally:
        server.start()
    assert_well_within(5, served, traffic)


def assert_health_tells(served: Served) -> None:
    """Each page within 2 s; what it says may be of the second before."""
    settled = time.monotonic() + FRESH
    for path, status in HEALTH.items():
        while True:
            asked = time.monotonic()
            answer, seconds = timed(served, path)
            assert seconds < 2, path
            if answer.status == status or asked > settled:
                break
        assert (path, answer.status) == (path, status)


def timed(served: Served, path: str) -> tuple[Answer, float]:
    start = time.monotonic()
    answer = served.request("GET", path)
    return answer, time.monotonic() - start


def assert_well_within(seconds: float, served: Served, traffic: Traffic) -> None:
    """Every process answers again: ten good answers in a row."""
    deadline, good = time.monotonic() + seconds, 0
    while good < 10:
        assert time.monotonic() < deadline
        good = good + 1 if send_to(served, traffic.index()).status == 200 else 0


@pytest.fixture(scope="module")
def impatient(database_url: str, redis_server: Redis) -> Iterator[Served]:
    timeout = {"DATABASE_STATEMENT_TIMEOUT": "2s"}
    with Served(database_url, redis_server.url, WEB_THREADS="2", **timeout) as started:
        yield started


@contextmanager
def frozen(server: Postgres) -> Iterator[None]:
    """All its processes stand still: connections are accepted, by the kernel, and not answered."""
    assert server.process is not None
    postmaster = psutil.Process(server.process.pid)
    family = [postmaster, *postmaster.children()]
    try:
        for process in family:
            with suppress(psutil.NoSuchProcess):  # a connection that has ended meanwhile
                process.send_signal(signal.SIGSTOP)
        yield
    finally:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)


def test_while_the_database_hangs_health_answers_and_requests_end(
    server: Postgres, impatient: Served, traffic: Traffic, record_property: Record
) -> None:
    """More clients than threads: every thread that serves requests waits for the database."""
    with Load(impatient.port, traffic.index, traffic.show) as load:
        load.wait_for_more()
        with frozen(server):
            assert_health_tells(impatient)
            before = len(load.outcomes)
            load.wait_for_more()
        hung = load.outcomes[before:]
    figures(record_property, "while it hangs", hung)
    assert {outcome.status for outcome in hung[-50:]} == {503}
    assert_well_within(5, impatient, traffic)


def test_a_statement_over_its_time_out_is_503(database_url: str, impatient: Served) -> None:
    ask = a_read(impatient)
    with psycopg.connect(database_url) as other:
        other.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
        answer = send_to(impatient, ask)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert send_to(impatient, ask).status == 200
