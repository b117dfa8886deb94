"""Rate limits while Redis is stopped or hangs: nobody waits twice, and sign-in stays limited."""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from redis import Redis as Client
from redis import RedisError

from service import limits
from service.app import create_app
from service.devservers import Redis
from service.limits import Counters, Limiter, Window
from service.redis import make_client
from service.variables import Rate
from tests.conftest import make_settings
from tests.counted import counting
from tests.test_limits import NO_DATABASE, ask, sign_in
from tests.waiting import until

NOBODY_LISTENS = "redis://127.0.0.1:1/0"
RULES = [("default", Rate(100, 60))]
SIGN_IN_RULES = [*RULES, ("login", Rate(8, 3600))]


class Silent:
    """A server that accepts connections, counts them, and never answers."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.accepted: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.socket.getsockname()[1]}/0"

    def count(self) -> int:
        """How many connections there have been. The kernel takes them though nobody accepts."""
        try:
            while True:
                self.accepted.append(self.socket.accept()[0])
        except BlockingIOError:
            return len(self.accepted)


@pytest.fixture
def silent() -> Iterator[Silent]:
    server = Silent()
    yield server
    for each in [server.socket, *server.accepted]:
        each.close()


@pytest.fixture
def own_redis(folder: Path) -> Iterator[Redis]:
    with Redis(folder / f"limits-{uuid4().hex}") as server:
        yield server


def client_of(url: str, **changes: Any) -> Client:
    return make_client(make_settings(NO_DATABASE, url), **changes)


def limiter_of(url: str, pause: float = limits.PAUSE, **changes: Any) -> Limiter:
    return Limiter(client_of(url, **changes), 2, pause)


def app_of(url: str, **changes: Any) -> FlaskClient:
    limits = {"rate_limit_default": "2 per minute", "rate_limit_login": "8 per hour"}
    settings = make_settings(NO_DATABASE, url, web_concurrency=2, **limits | changes)
    return create_app(settings).test_client()


def seconds(call: Callable[[], object]) -> float:
    start = time.monotonic()
    call()
    return time.monotonic() - start


def used(windows: list[Window]) -> dict[str, tuple[int, int]]:
    return {window.rule: (window.used, window.rate.count) for window in windows}


def test_without_redis_the_general_limit_lets_requests_pass() -> None:
    client = app_of(NOBODY_LISTENS)
    answers = [ask(client) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [404] * 5
    assert all("RateLimit-Limit" not in answer.headers for answer in answers)


def test_without_redis_sign_in_is_limited_more_strictly() -> None:
    client = app_of(NOBODY_LISTENS)
    answers = [sign_in(client) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [415, 415, 429, 429]
    assert answers[0].headers["RateLimit-Policy"] == "2;w=3600"
    assert int(answers[2].headers["Retry-After"]) > 3500
    assert sign_in(client, "192.0.2.2").status_code == 415


def test_the_stricter_limit_is_at_least_one() -> None:
    client = app_of(NOBODY_LISTENS, rate_limit_login="1 per hour")
    assert [sign_in(client).status_code for _ in range(2)] == [415, 429]


def fallbacks(client: FlaskClient, rule: str) -> float:
    name = f'rate_limiter_fallbacks_total{{rule="{rule}"}} '
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))


def test_each_fallback_is_counted() -> None:
    client = app_of(NOBODY_LISTENS)
    before = fallbacks(client, "default"), fallbacks(client, "login")
    ask(client)
    sign_in(client)
    after = fallbacks(client, "default"), fallbacks(client, "login")
    assert (after[0] - before[0], after[1] - before[1]) == (2, 1)


def test_with_redis_nothing_falls_back(own_redis: Redis) -> None:
    client = counting(app_of(own_redis.url).application)
    before = fallbacks(client, "default")
    assert [ask(client).status_code for _ in range(3)] == [404, 404, 429]
    assert fallbacks(client, "default") == before


def test_one_request_asks_a_redis_that_hangs_and_the_next_do_not(silent: Silent) -> None:
    client = app_of(silent.url)
    assert [ask(client).status_code for _ in range(20)] == [404] * 20
    assert silent.count() == 1


def test_after_a_pause_redis_is_asked_again(silent: Silent) -> None:
    limiter = limiter_of(silent.url, pause=60)
    assert [limiter.count("someone", RULES) for _ in range(5)] == [[]] * 5
    assert silent.count() == 1
    assert 0 < limiter._try_at - time.monotonic() <= 60
    limiter._try_at = time.monotonic()  # it is over
    limiter.count("someone", RULES)
    assert silent.count() == 2


def test_after_a_pause_one_thread_asks_and_the_others_do_not_wait(silent: Silent) -> None:
    limiter = limiter_of(silent.url, pause=60)
    limiter.count("someone", RULES)
    limiter._try_at = time.monotonic()  # it is over
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: limiter.count("someone", RULES), range(8)))
    assert silent.count() == 2


def test_a_redis_that_answers_too_slowly_is_left_alone(own_redis: Redis) -> None:
    slow = Limiter(client_of(own_redis.url, socket_timeout=5), 2, pause=60)
    with Client.from_url(own_redis.url) as client:
        assert slow.count("someone", RULES) != []
        slow._broken = False  # if the first connection took long
        client.execute_command("CLIENT", "PAUSE", 3000)
    assert used(slow.count("someone", RULES)) == {"default": (2, 100)}
    assert slow.count("someone", RULES) == []


def test_a_request_waits_250_ms_at_most(silent: Silent) -> None:
    # Of several, the quickest: another process may have had the CPU meanwhile.
    waits = [
        seconds(lambda: limiter_of(silent.url).count("someone", RULES)),
        seconds(lambda: limiter_of(silent.url).count("someone", RULES)),
        seconds(lambda: limiter_of(silent.url).count("someone", RULES)),
    ]
    assert 0.1 < min(waits) < 0.3


def test_a_client_with_longer_time_outs_waits_longer(silent: Silent) -> None:
    patient = Limiter(client_of(silent.url, socket_timeout=0.5), 2)
    assert seconds(lambda: patient.count("someone", RULES)) > 0.45


def test_a_redis_that_is_frozen_and_thaws_counts_again(own_redis: Redis) -> None:
    limiter = limiter_of(own_redis.url, 0.1, socket_timeout=2, socket_connect_timeout=2)
    assert own_redis.process is not None
    assert used(limiter.count("someone", SIGN_IN_RULES)) == {"default": (1, 100), "login": (1, 8)}
    own_redis.process.send_signal(signal.SIGSTOP)
    try:
        assert used(limiter.count("someone", SIGN_IN_RULES)) == {"login": (1, 2)}
        assert used(limiter.count("someone", SIGN_IN_RULES)) == {"login": (2, 2)}
    finally:
        own_redis.process.send_signal(signal.SIGCONT)
    again = until(lambda: used(limiter.count("someone", RULES)))
    assert again["default"] in [(2, 100), (3, 100)]  # the frozen one may have read the second


def test_a_redis_that_was_stopped_and_started_counts_again(own_redis: Redis) -> None:
    limiter = limiter_of(own_redis.url, 0.1, socket_timeout=2, socket_connect_timeout=2)
    assert used(limiter.count("someone", RULES)) == {"default": (1, 100)}
    own_redis.stop()
    assert limiter.count("someone", RULES) == []
    own_redis.start()
    assert until(lambda: used(limiter.count("someone", RULES))) == {"default": (2, 100)}


def test_a_redis_that_refuses_the_password_is_a_redis_that_is_down(own_redis: Redis) -> None:
    wrong = own_redis.url.replace(own_redis.password, "wrong")
    with pytest.raises(RedisError):
        client_of(wrong).ping()
    assert limiter_of(wrong).count("someone", RULES) == []


def test_counters_in_memory_have_windows() -> None:
    counters = Counters()
    assert [counters.count("a", Rate(1, 60))[0] for _ in range(3)] == [1, 2, 3]
    assert counters.count("b", Rate(1, 60))[0] == 1
    assert [counters.count("c", Rate(1, 0))[0] for _ in range(2)] == [1, 1]


def test_counters_in_memory_forget_the_oldest_when_there_are_too_many() -> None:
    counters = Counters()
    for number in range(limits.MEMORY):
        counters.count(str(number), Rate(5, 3600))
    assert counters.count("0", Rate(5, 3600))[0] == 2
    counters.count("one more", Rate(5, 3600))
    assert counters.count("0", Rate(5, 3600))[0] == 3
    assert counters.count("1", Rate(5, 3600))[0] == 1
