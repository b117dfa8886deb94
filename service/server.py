"""The web server: how many processes, and what gunicorn needs to be told in code.

Nothing to change here; gunicorn's settings are in gunicorn.conf.py at the root.
"""

import logging
import math
import socket
import tempfile
import time
import traceback
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from itertools import count
from typing import Any
from uuid import uuid4

from gunicorn import glogging, systemd
from gunicorn.util import make_fail_app
from gunicorn.workers.gthread import ThreadWorker

from service import errors, health, ports
from service.cgroup import cpu_limit, memory_limit
from service.settings import Settings

PROCESS_MEMORY = 128 * 2**20  # bytes that a process may come to use, and keep to under load
MASTER_MEMORY = 64 * 2**20
FEWEST = 2  # so that one process that restarts or hangs leaves another
MOST = 16  # more belong on another machine
HEALTH_THREADS = 4
READ_LIMIT = 30  # seconds in which a client must have sent its request, with the body
_PEEK = socket.MSG_PEEK | socket.MSG_DONTWAIT


@dataclass(frozen=True)
class Processes:
    """How many processes, and why, for people."""

    count: int
    why: str


def processes(settings: Settings) -> Processes:
    """How many processes of the web server this machine, or its part of one, can feed."""
    if settings.web_concurrency:
        return Processes(settings.web_concurrency, "WEB_CONCURRENCY")
    return fitting(cpu_limit(), memory_limit())


def fitting(cpus: float, memory: int | None) -> Processes:
    """How many processes so many CPUs and bytes can feed."""
    wanted = min(max(FEWEST, math.ceil(cpus)), MOST)
    why = f"{cpus:g} CPUs, at least {FEWEST} and at most {MOST} processes"
    if memory is not None:
        fits = max(1, (memory - MASTER_MEMORY) // PROCESS_MEMORY)
        if fits < wanted:
            return Processes(fits, f"memory: {memory >> 20} MiB hold no more")
    return Processes(wanted, why)


def children(settings: Settings) -> int:
    """How many a worker has: WORKER_CONCURRENCY, or one for each CPU that we may use."""
    return settings.worker_concurrency or max(1, round(cpu_limit()))


def refuse_taken_ports(arbiter: Any) -> None:
    """Raises ports.Refused where gunicorn would try five times and then say little.

    Not for a socket that is inherited, from systemd or from the master before this one.
    """
    if arbiter.master_pid or systemd.listen_fds(unset_environment=False):
        return
    for address in arbiter.cfg.address:
        if isinstance(address, tuple):
            host, port = address[:2]
            hosts = ports.EVERYWHERE if host in ("", "::", "0.0.0.0") else (host,)
            ports.refuse_taken(port, "python -m service web", hosts)


@cache
def metrics_folder(master: int, parent: str | None) -> str:
    """The folder in which the processes of this master (a pid) keep their metrics."""
    return tempfile.mkdtemp(f".{master}", "service-metrics-", parent)


def free_slot(workers: Iterable["Worker"]) -> int:
    """The first number that none of these has."""
    taken = {worker.slot for worker in workers}
    return next(number for number in count() if number not in taken)


class Said:
    """In the place of a client's socket: takes what gunicorn would send, for its status."""

    status = 400

    def sendall(self, raw: bytes) -> None:
        self.status = int(raw[9:12])

    def gettimeout(self) -> None:
        return None

    def setblocking(self, _: bool) -> None:
        pass


class Worker(ThreadWorker):
    """A gunicorn worker whose health pages do not stand in line behind other requests.

    While the database hangs, every thread waits for it: without a lane of their own the health
    pages would time out, and a platform kill each process because of a fault elsewhere.
    """

    slot = 0  # a number that no other worker has while this one lives

    @property
    def metrics(self) -> str:
        """Whose the files of its metrics are: who has its number next goes on with them, or each
        reload would leave some behind, and a scrape reads them all."""
        return f"web-{self.slot}"

    def init_process(self) -> None:
        self.since: dict[Any, float] = {}  # when a thread took a connection, in monotonic seconds
        self.health_lane = ThreadPoolExecutor(HEALTH_THREADS, "health")
        for listener in self.sockets:
            if hasattr(socket, "TCP_DEFER_ACCEPT") and listener.FAMILY != socket.AF_UNIX:
                # Linux hands over a connection together with its first bytes.
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
        super().init_process()

    def load_wsgi(self) -> None:
        """With auto-reload, code that cannot be imported is shown, and the next change waited for;
        gunicorn does so for a SyntaxError only, and ends for anything else."""
        try:
            super().load_wsgi()
        except Exception as error:
            if not self.cfg.reload:
                raise
            self.log.exception("the code cannot be imported: the next change is waited for")
            for frame, _ in traceback.walk_tb(error.__traceback__):
                self.reloader.add_extra_file(frame.f_code.co_filename)
            self.wsgi = make_fail_app("".join(traceback.format_exception(error)))

    def enqueue_req(self, conn: Any) -> None:
        lane = self.health_lane if _asks_for_health(conn.sock) else self.tpool
        future = lane.submit(self.handle, conn)
        future.add_done_callback(
            lambda done: self.method_queue.defer(self.finish_request, conn, done)
        )

    def handle(self, conn: Any) -> Any:
        """Serve a request, in a thread of the pool."""
        self.since[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            self.since.pop(conn, None)

    def murder_pending(self) -> None:
        """Each second: stop listening to who has not sent a whole request by now, so that some
        who send theirs byte by byte do not keep all threads. A request that is being answered
        does not notice."""
        super().murder_pending()
        now = time.monotonic()
        for conn, since in list(self.since.items()):
            if now - since > READ_LIMIT:
                with suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RD)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer what is no request at all with a problem too, where gunicorn sends HTML."""
        from service.edge import HEADERS  # its metrics need the folder of gunicorn.conf.py

        said = Said()
        super().handle_error(req, said, addr, exc)
        id = uuid4().hex
        problem = errors.Problem("This is no request that can be served.", status=said.status)
        body = errors.body_of(problem, "", id)
        head = [
            f"HTTP/1.1 {said.status} {HTTPStatus(said.status).phrase}",
            "Connection: close",
            "Content-Type: application/problem+json",
            f"Content-Length: {len(body)}",
            f"X-Request-ID: {id}",
            *(f"{name}: {value}" for name, value in HEADERS),
        ]
        with suppress(OSError):
            client.sendall("\r\n".join([*head, "", ""]).encode() + body)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Tell /health/ready that the process is about to stop."""
        health.draining.set()
        super().handle_exit(sig, frame)


def _asks_for_health(connection: socket.socket) -> bool:
    """Look at the bytes that are there, without taking them; TLS does not let us.

    Only a whole request: who does not send the rest waits with the others.
    """
    try:
        if connection.recv(11, _PEEK) != b"GET /health":
            return False
        return b"\r\n\r\n" in connection.recv(4096, _PEEK)
    except (OSError, ValueError):
        return False


class Logger(glogging.Logger):
    """gunicorn's own messages, in our format. Requests are logged at the edge."""

    def setup(self, cfg: Any) -> None:
        self.error_log = logging.getLogger("gunicorn.error")
        self.error_log.propagate = True
        self.error_log.setLevel(logging.INFO)
        self.cfg = cfg

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        pass

    def reopen_files(self) -> None:
        pass
