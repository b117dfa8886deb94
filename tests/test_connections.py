"""Connecting to PostgreSQL: what is tried again, what is given up on, who waits for how long."""

import socket
import threading
import time
from contextlib import closing, suppress
from typing import Any

import psycopg
import pytest

from service import connections
from service.connections import Connector, Hung, connect, is_hopeless
from service.devservers import Postgres


class Refusing:
    """A server that closes each connection at once, as PostgreSQL does while it starts."""

    def __init__(self) -> None:
        self.count = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = {"host": "127.0.0.1", "port": self.socket.getsockname()[1]}
        self._thread = threading.Thread(target=self._refuse)
        self._thread.start()

    def _refuse(self) -> None:
        with suppress(OSError):
            while True:
                self.socket.accept()[0].close()
                self.count += 1

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.socket.close()


@pytest.mark.parametrize("retries", [0, 2])
def test_to_connect_is_tried_again_and_given_up_for_a_second(
    retries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "FAIL_FAST", 60)
    monkeypatch.setattr(connections, "STALE", 60)
    connector = Connector(retries, statement_timeout=1)
    with closing(Refusing()) as server:
        for said in ("closed the connection", "not tried: the database was down a moment ago"):
            with pytest.raises(psycopg.OperationalError, match=said):
                connector(None, None, (), server.address)
    assert server.count == 1 + retries


def test_an_outage_of_long_ago_is_no_reason_not_to_try(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = Connector(retries=0, statement_timeout=1)
    connector.is_down, connector.tried_at = True, time.monotonic()
    monkeypatch.setattr(connections, "FAIL_FAST", 60)
    monkeypatch.setattr(connections, "STALE", 60)
    with pytest.raises(psycopg.OperationalError, match="not tried"):
        connector(None, None, (postgres.url,), {})
    connector.tried_at -= 61
    connector(None, None, (postgres.url,), {}).close()
    assert not connector.is_down


class Overtaken(Connector):
    """Its first try fails only after another thread's has succeeded."""

    first = True

    def _connect(self, args: Any, kwargs: Any) -> Any:
        if self.first:
            self.first = False
            self(None, None, args, kwargs).close()
            raise psycopg.OperationalError("connection timeout expired")
        return super()._connect(args, kwargs)


def test_who_fails_late_does_not_take_the_database_for_down(postgres: Postgres) -> None:
    """Or the next restart would be met with one try, for all who read meanwhile."""
    connector = Overtaken(retries=2, statement_timeout=1)
    with pytest.raises(psycopg.OperationalError, match="timeout expired"):
        connector(None, None, (postgres.url,), {})
    assert not connector.is_down
    connector(None, None, (postgres.url,), {}).close()


def test_what_trying_again_does_not_change_is_not_tried_again(postgres: Postgres) -> None:
    hopeless = [
        postgres.url.replace(postgres.password, "wrong"),
        postgres.url.replace("//postgres:", "//nobody:"),
        postgres.url.removesuffix("/postgres") + "/nothing",
    ]
    for url in hopeless:
        with pytest.raises(psycopg.OperationalError) as caught:
            connect(url, patience=5)
        assert is_hopeless(caught.value)


@pytest.mark.parametrize(
    "message",
    [
        'connection to server at "127.0.0.1", port 1 failed: Connection refused',
        'connection to server on socket "/run/.s.PGSQL.5432" failed: No such file or directory',
        "FATAL:  the database system is starting up",
        "FATAL:  sorry, too many clients already",
        'failed to resolve host "db": Name or service not known',
    ],
)
def test_what_may_pass_is_tried_again(message: str) -> None:
    assert not is_hopeless(psycopg.OperationalError(message))


def test_a_server_that_hangs_costs_no_more_than_patience(postgres: Postgres) -> None:
    with closing(connect(postgres.url, patience=0.05)) as connection:
        with pytest.raises(Hung):
            connection.execute("SELECT pg_sleep(5)")
        assert connection.closed
