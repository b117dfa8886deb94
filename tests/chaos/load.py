"""Clients that ask without pause while something happens to the server, and what they got."""

import http.client
import itertools
import json
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

CLIENTS = 16
HERE = "127.0.0.1"
LIMIT = 30.0  # seconds that a client waits for a response, and that a test waits for clients


class Ask(NamedTuple):
    """A request."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = {}
    keep_alive: bool = True


class Outcome(NamedTuple):
    """What came of a request: a status and headers, or the error in the place of a response."""

    ask: Ask
    status: int
    headers: Mapping[str, str]
    error: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.ask.method} {self.error or self.status}"


class Load:
    """Threads that send what their maker makes, until the `with` ends; all outcomes are kept.

    A response of 5xx, a refused or reset connection, and one that is closed in the place of a
    response, is a failure. That the server closes after a response in which it announced so
    (`Connection: close`, RFC 9112 section 9.6) is none.
    """

    def __init__(
        self,
        port: int,
        *makers: Callable[[], Ask],
        clients: int = CLIENTS,
        tls: ssl.SSLContext | None = None,
        pause: float = 0.0,  # seconds between two requests of a client
        address: str = HERE,
        name: str = "",
    ) -> None:
        self.outcomes: list[Outcome] = []
        self._pause = pause
        self._connect = partial(connect, port, tls, address, name)
        self._stop = threading.Event()
        turns = itertools.islice(itertools.cycle(makers), clients)
        self._threads = [threading.Thread(target=self._run, args=(make,)) for make in turns]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, count: int = 200) -> None:
        """Wait until so many more requests have been answered or have failed."""
        wanted, deadline = len(self.outcomes) + count, time.monotonic() + LIMIT
        while len(self.outcomes) < wanted:
            assert time.monotonic() < deadline, Counter(map(str, self.outcomes))
            time.sleep(0.02)

    def of(self, method: str) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.ask.method == method]

    def _run(self, make: Callable[[], Ask]) -> None:
        connection = self._connect()
        while not self._stop.is_set():
            self.outcomes.append(outcome := send(connection, make()))
            if outcome.error or self._pause:
                time.sleep(max(self._pause, 0.01))
        connection.close()


def connect(
    port: int, tls: ssl.SSLContext | None = None, address: str = HERE, name: str = ""
) -> http.client.HTTPConnection:
    """A connection to an address; `name` is what it is asked for as, in TLS and in HTTP."""
    host = name or address
    found = (
        http.client.HTTPConnection(host, port, timeout=LIMIT)
        if tls is None
        else http.client.HTTPSConnection(host, port, timeout=LIMIT, context=tls)
    )
    if name:  # in the place of a name server
        found._create_connection = lambda _, *more: socket.create_connection(  # type: ignore[attr-defined]
            (address, port), *more
        )
    return found


def send(connection: http.client.HTTPConnection, ask: Ask) -> Outcome:
    """Send a request; the connection is closed after it if either side wants so."""
    headers = {"Content-Type": "application/json", **ask.headers}
    if not ask.keep_alive:
        headers["Connection"] = "close"
    body = None if ask.body is None else json.dumps(ask.body)
    start = time.monotonic()
    try:
        connection.request(ask.method, ask.path, body, headers)
        response = connection.getresponse()
        response.read()
        found = Outcome(ask, response.status, dict(response.getheaders()), "", 0)
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        found = Outcome(ask, 0, {}, type(error).__name__, 0)
    return found._replace(seconds=time.monotonic() - start)


def failed(outcomes: Sequence[Outcome]) -> list[str]:
    return [str(outcome) for outcome in outcomes if outcome.error or outcome.status >= 500]


Record = Callable[[str, object], None]


def figures(record: Record, what: str, outcomes: Sequence[Outcome]) -> Counter[str]:
    """Print and record "failed of total", and return the failures by kind."""
    kinds = Counter(failed(outcomes))
    slowest = max((outcome.seconds for outcome in outcomes), default=0)
    line = f"{kinds.total()} failed of {len(outcomes)} {dict(kinds) or ''}, slowest {slowest:.2f} s"
    record(what, line)
    print(f"{what}: {line}")
    return kinds
