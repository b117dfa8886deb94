"""The load: keep-alive HTTP/1.1 connections that send prepared requests, each answer checked."""

import socket
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.openloop import Schedule

CONNECTIONS = 8
# Then a new connection: all eight may have landed on one of the server's two processes.
REQUESTS_PER_CONNECTION = 50
TIMEOUT = 30.0  # seconds


class LoadError(Exception):
    """A server answered with anything but what was asked for: its figures would mean nothing."""


@dataclass
class Answer:
    status: int
    body: bytes
    closes: bool


@dataclass
class Tally:
    """What came of a load: completed requests, connections opened, requests sent again."""

    completed: int = 0
    opened: int = 0
    resent: int = 0
    wrong: Counter[str] = field(default_factory=Counter)


class Connection:
    """One client: reconnects when the server closes, and counts that it had to."""

    def __init__(self, port: int, tally: Tally) -> None:
        self.port, self.tally = port, tally
        self.socket: socket.socket | None = None
        self.used = 0

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def ask(self, request: bytes) -> Answer:
        """Return the answer; ask again where the server has closed a kept connection meanwhile."""
        try:
            return self._ask(request)
        except (ConnectionError, EOFError):
            kept = self.used > 0
            self.close()
            if not kept:
                raise
            self.tally.resent += 1
            return self._ask(request)

    def _ask(self, request: bytes) -> Answer:
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), TIMEOUT)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.tally.opened += 1
            self.used = 0
        self.socket.sendall(request)
        answer = read(self.socket)
        self.used += 1
        if answer.closes or self.used >= REQUESTS_PER_CONNECTION:
            self.close()
        return answer


def read(sock: socket.socket) -> Answer:
    """Read one response. Raises EOFError where the server closed without a byte."""
    data = sock.recv(65536)
    if not data:
        raise EOFError("closed without an answer")
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += receive(sock)
    head = data[:end].lower()
    length = end + 4 + content_length(head)
    while len(data) < length:
        data += receive(sock)
    closes = b"\r\nconnection: close" in head or head.startswith(b"http/1.0")
    return Answer(int(head[9:12]), data[end + 4 :], closes)


def receive(sock: socket.socket) -> bytes:
    data = sock.recv(65536)
    if not data:
        raise LoadError("the server closed in mid-answer")
    return data


def content_length(head: bytes) -> int:
    """Return the bytes of the body that a lower-case head announces."""
    for line in head.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    raise LoadError(f"an answer without Content-Length: {head[:200]!r}")


def load(
    port: int,
    requests: Sequence[bytes],
    count: int,
    status: int,
    connections: int = CONNECTIONS,
    schedule: Schedule | None = None,
) -> Tally:
    """Send `count` requests, taken in turn from `requests`, over so many connections at once; each
    as soon as there is a free connection, or by a schedule.

    Raises LoadError if any answer's status is not `status`.
    """
    tallies = [Tally() for _ in range(connections)]
    turns = iter(range(count))  # next() on it is atomic under the GIL
    threads = [
        threading.Thread(
            target=_drive, args=(port, requests, turns, status, tally, schedule), daemon=True
        )
        for tally in tallies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = Tally(
        completed=sum(tally.completed for tally in tallies),
        opened=sum(tally.opened for tally in tallies),
        resent=sum(tally.resent for tally in tallies),
        wrong=sum((tally.wrong for tally in tallies), Counter()),
    )
    if total.wrong or total.completed != count:
        raise LoadError(f"{total.completed} of {count} as expected; else: {dict(total.wrong)}")
    return total


def _drive(
    port: int,
    requests: Sequence[bytes],
    turns: Iterator[int],
    status: int,
    tally: Tally,
    schedule: Schedule | None,
) -> None:
    connection = Connection(port, tally)
    for turn in turns:
        if schedule is not None:
            schedule.wait(turn)
        try:
            answer = connection.ask(requests[turn % len(requests)])
        except (OSError, EOFError, LoadError) as error:
            connection.close()
            tally.wrong[f"{type(error).__name__}: {error}"] += 1
            continue
        if answer.status == status:
            tally.completed += 1
            if schedule is not None:
                schedule.answered(turn)
        else:
            tally.wrong[f"{answer.status} {answer.body[:200]!r}"] += 1
    connection.close()
