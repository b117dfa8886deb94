"""Requests that come when they come: nobody is asked less for being slow."""

import itertools
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from bench import client
from bench.openloop import Schedule, arrivals, percentiles


class Clock:
    """A time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def test_users_come_at_the_rate_and_not_evenly() -> None:
    due = arrivals(rate=200, seconds=10)
    gaps = [later - earlier for earlier, later in itertools.pairwise(due)]
    assert 1850 < len(due) < 2150
    assert due == sorted(due)
    assert due[-1] < 10
    assert min(gaps) < 0.0005 < 0.02 < max(gaps)


def test_every_server_is_asked_at_the_same_times() -> None:
    assert arrivals(50, 2) == arrivals(50, 2)
    assert arrivals(50, 2) != arrivals(50, 2, seed=2)


def test_a_request_is_not_sent_before_it_is_due() -> None:
    clock = Clock()
    schedule = Schedule([0.0, 0.5], clock, clock.sleep)
    began = clock.now
    schedule.wait(1)
    assert clock.now == pytest.approx(began + 0.1 + 0.5)


def test_what_a_request_waited_to_be_sent_counts() -> None:
    """One connection, and a server that hangs for a second: the next two are late, and say so."""
    clock = Clock()
    schedule = Schedule([0.0, 0.1, 0.2], clock, clock.sleep)
    for turn, takes in enumerate([1.0, 0.01, 0.01]):
        schedule.wait(turn)
        clock.sleep(takes)
        schedule.answered(turn)
    assert schedule.latencies == pytest.approx([1.0, 0.91, 0.82])


def test_percentiles_are_in_milliseconds() -> None:
    p50, p99 = percentiles([i / 1000 for i in range(101)])
    assert (p50, p99) == pytest.approx((50, 99))


def test_a_server_that_stalls_is_seen_by_all_who_came_meanwhile() -> None:
    """For real: it answers one at a time, and its first answer takes 0.3 s."""
    stalled = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not stalled.is_set():
                stalled.set()
                threading.Event().wait(0.3)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        schedule = Schedule([0.0, 0.01, 0.02, 0.03])
        asked = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"]
        done = client.load(server.server_port, asked, 4, 200, connections=2, schedule=schedule)
        server.shutdown()
    assert done.completed == 4
    assert min(schedule.latencies) > 0.2
