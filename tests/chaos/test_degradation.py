"""docs/degradation.md, cell by cell: what each part does while something is down or slow."""

import contextlib
import http.server
import json
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import psutil
import psycopg
import pytest
from aiosmtpd.handlers import Sink

from service.app import create_app
from service.db import session
from service.devserver import Server
from service.devservers import Postgres, Redis
from service.environment import ROOT
from service.limits import PAUSE
from service.outbox import enqueue
from tests.chaos import records
from tests.chaos.plant import QUICK, SERVICE
from tests.chaos.traffic import Traffic, send_to
from tests.children import Logs
from tests.conftest import make_settings
from tests.people import PASSWORD
from tests.ports import free_port
from tests.seaweed import BUCKET, KEY_ID, SECRET, Seaweed
from tests.serving import Answer, Served, own_database, variables
from tests.smtp import MailServer
from tests.waiting import until

TABLE = ROOT / "docs" / "degradation.md"
SETTLED = 12.0  # seconds in which a job that works has run
BACK = 40.0  # seconds in which everything works again
KEPT = 100.0  # seconds in which what was promised meanwhile is done; what needs S3 has long pauses

Cells = dict[str, str]


def documented() -> dict[tuple[str, str], Cells]:
    """The cells of the table by (what, how)."""
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("| ")]
    head, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    found = {}
    for first, *cells in rows:
        what, how = first.split()
        found[what, how] = dict(zip(head[1:], cells, strict=True))
    return found


class Thing(Protocol):
    """What the service needs, to be taken away and given back."""

    def down(self) -> None: ...
    def slow(self) -> None: ...
    def back(self) -> None: ...


class Process:
    """A server of ours: stopped, frozen, started."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._frozen: list[psutil.Process] = []

    def down(self) -> None:
        self._server.stop()

    def slow(self) -> None:
        assert self._server.process is not None
        parent = psutil.Process(self._server.process.pid)
        self._frozen = [parent, *parent.children(recursive=True)]
        for each in self._frozen:
            with contextlib.suppress(psutil.NoSuchProcess):  # a connection that has ended meanwhile
                each.send_signal(signal.SIGSTOP)

    def back(self) -> None:
        for each in self._frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGCONT)
        if not self._frozen:
            if isinstance(self._server, Seaweed):  # which wants to make its folder itself
                shutil.rmtree(self._server.data)
            self._server.start()
        self._frozen = []


class Port:
    """A server in this process, on a port that may be closed, or silent, for a while."""

    def __init__(self, serve: Callable[[int], Callable[[], None]]) -> None:
        self.port = free_port()
        self._serve = serve
        self._end = serve(self.port)

    def down(self) -> None:
        self._end()
        self._end = lambda: None

    def slow(self) -> None:
        self._end()
        silent = socket.create_server(("127.0.0.1", self.port))
        self._end = silent.close

    def back(self) -> None:
        self._end()
        self._end = self._serve(self.port)

    def close(self) -> None:
        self._end()


def smtp(port: int) -> Callable[[], None]:
    return MailServer(Sink(), port).start().stop


class Nothing(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def taking(port: int) -> Callable[[], None]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Nothing)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def end() -> None:
        server.shutdown()
        server.server_close()

    return end


class House:
    """The service with all that it needs, and a user."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.postgres = stack.enter_context(Postgres(folder / "postgres-of-degradation"))
        redis = stack.enter_context(Redis(folder / "redis-of-degradation"))
        bucket = stack.enter_context(Seaweed(folder / "seaweed-of-degradation"))
        mail, reports, traces = Port(smtp), Port(taking), Port(taking)
        for port in (mail, reports, traces):
            stack.callback(port.close)
        self.things: dict[str, Thing] = {
            "PostgreSQL": Process(self.postgres),
            "Redis": Process(redis),
            "S3": Process(bucket),
            "SMTP": mail,
            "Sentry": reports,
            "Collector": traces,
        }
        self.url = own_database(self.postgres)
        env = {
            **variables(self.url, redis.url),
            **QUICK,
            "DATABASE_STATEMENT_TIMEOUT": "1s",
            "WORKER_CONCURRENCY": "4",  # a look may leave one that waits
            "SHUTDOWN_GRACE": "5s",
            "S3_BUCKET": BUCKET,
            "S3_ENDPOINT_URL": bucket.url,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{traces.port}",
            "SENTRY_DSN": f"http://key@127.0.0.1:{reports.port}/1",
        }
        del env["DATABASE_URL"], env["REDIS_URL"]
        self.web = stack.enter_context(Served(self.url, redis.url, **env))
        env |= {"DATABASE_URL": self.url, "REDIS_URL": redis.url}
        for name in ("worker", "scheduler"):
            command = ["-c", SERVICE.format([name])]
            stack.enter_context(Logs(command, env, f"{name} started"))
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(records.TABLE)
        self.app = create_app(make_settings(self.url, redis.url, database_connect_retries=0))
        stack.callback(lambda: self.app.extensions["database"].engine.dispose())
        self.account = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD}
        assert self.web.request("POST", "/api/users", self.account).status == 201
        token = self.sign_in().json()["access_token"]
        self.signed_in = {"Authorization": f"Bearer {token}"}
        self.traffic = Traffic(self.web)
        self.promised: list[str] = []  # jobs whose commit was told

    def sign_in(self) -> Answer:
        return self.web.request("POST", "/api/auth/login", self.account)

    def ask_for_upload(self) -> Answer:
        upload = {"filename": "a.txt", "content_type": "text/plain", "size": 1}
        return self.web.request("POST", "/api/uploads", upload, self.signed_in)

    def look(self) -> Cells:
        """What each part does just now, in the words of the table."""
        storing = self.enqueue(records.store, uuid4().hex)
        mail = self.web.request(
            "POST", "/api/users", {"email": f"{uuid4().hex}@example.com", "password": PASSWORD}
        )
        other = self.enqueue(records.record, uuid4().hex, 0.01)
        cells = {
            "sign-in": word(self.sign_in(), 200),
            "reading": word(send_to(self.web, self.traffic.index()), 200),
            "writing": word(send_to(self.web, self.traffic.create()), 201),
            "asking for an upload": word(self.ask_for_upload(), 201),
            "limits": "counted"
            if "RateLimit-Remaining" in self.web.request("GET", "/api/nothing").headers
            else "not counted",
            "readiness": {200: "ready", 503: "not ready"}[
                self.web.request("GET", "/health/ready").status
            ],
        }
        deadline = time.monotonic() + SETTLED
        self.promised += [id for id in (storing, other) if id]
        cells["jobs that need S3"] = self.ended(storing, deadline, "work")
        cells["other jobs"] = self.ended(other, deadline, "work")
        self.promised += [welcome] if (welcome := self.welcome(mail)) else []
        cells["mail"] = self.ended(welcome, deadline, "works")
        return cells

    def enqueue(self, function: Any, *arguments: Any) -> str | None:
        """The id of a job; None if it cannot even be written."""
        try:
            with self.app.app_context():
                id = enqueue(session, function, *arguments)
                session.commit()
                return str(id)
        except Exception:
            return None

    def unkept(self) -> list[str]:
        """The promised jobs that have not succeeded."""
        query = "SELECT id::text FROM jobs WHERE status = 'succeeded'"
        with psycopg.connect(self.url) as connection:
            done = {id for (id,) in connection.execute(query)}
        return sorted(set(self.promised) - done)

    def welcome(self, answer: Answer) -> str | None:
        if answer.status != 201:
            return None
        query = "SELECT id FROM jobs WHERE arguments LIKE %s"
        with psycopg.connect(self.url) as connection:
            row = connection.execute(query, (f"%{answer.json()['id']}%",)).fetchone()
        assert row
        return str(row[0])

    def ended(self, id: str | None, deadline: float, works: str) -> str:
        """`works` if the job has succeeded by then; what cannot even be written waits too."""
        while id is not None:
            with psycopg.connect(self.url) as connection:
                row = connection.execute("SELECT status FROM jobs WHERE id = %s", (id,)).fetchone()
            if row and row[0] == "succeeded":
                return works
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        return "wait"


def word(answer: Answer, good: int) -> str:
    if answer.status == 503:
        assert int(answer.headers["Retry-After"]) > 0
        assert json.loads(answer.body)["status"] == 503
    return "works" if answer.status == good else str(answer.status)


WELL = {
    **dict.fromkeys(["sign-in", "reading", "writing", "mail"], "works"),
    **dict.fromkeys(["jobs that need S3", "other jobs"], "work"),
    "asking for an upload": "works",
    "limits": "counted",
    "readiness": "ready",
}


@pytest.fixture(scope="module")
def house(folder: Path) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(folder, stack)


@pytest.mark.parametrize(("what", "how"), documented())
def test_each_cell_is_true(house: House, what: str, how: str) -> None:
    thing = house.things[what]
    getattr(thing, how)()
    try:
        # A machine that is busy for 250 ms opens the breaker of the limits too: so what differs is
        # looked at once more, when that is over.
        if (found := house.look()) != documented()[what, how]:
            time.sleep(PAUSE)
            found = house.look()
        assert found == documented()[what, how]
    finally:
        thing.back()
    until(lambda: house.look() == WELL, seconds=BACK)
    until(lambda: house.unkept() == [], seconds=KEPT)


def test_the_table_names_every_part_and_every_thing(house: House) -> None:
    assert {what for what, _ in documented()} == set(house.things)
    assert {how for _, how in documented()} == {"down", "slow"}
    assert len(documented()) == 2 * len(house.things)
    assert all(set(cells) == set(WELL) for cells in documented().values())
    assert not re.search(r"\|[ \t]*\|", TABLE.read_text())
