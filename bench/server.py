"""One server under test: started, waited for, measured, stopped."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench import processes
from bench.client import read
from bench.variants import ROOT, Urls, Variant

START_TIMEOUT = 60.0  # seconds
POLL = 0.005  # seconds between two tries to connect
LIVE = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


class ServerError(Exception):
    """A server did not start, lost a worker or did not stop."""


class Server:
    """A running variant: its port, its processes, and the seconds it took to start."""

    def __init__(self, variant: Variant, urls: Urls, folder: Path) -> None:
        self.variant, self.port = variant, free_port()
        self.log = folder / f"{variant.name}-{self.port}.log"
        home = folder / f"home-{self.port}"  # gunicorn's control socket lies in $HOME
        home.mkdir()
        environment = {
            **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            **variant.environment(urls, self.port),
            "HOME": str(home),
            "PROMETHEUS_MULTIPROC_DIR": str(home),  # of who has metrics; ours makes its own
        }
        given = {"{port}": str(self.port), "{processes}": str(variant.processes)}
        command = [given.get(part, part) for part in variant.command]
        command = [part.replace("{port}", str(self.port)) for part in command]
        with self.log.open("wb") as log:
            started = time.perf_counter()
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self.start_seconds = self._wait() - started
            self.pids = [self.process.pid]
        except BaseException:
            self.stop()
            raise

    def _wait(self) -> float:
        """Return the time of the first 200."""
        deadline = time.perf_counter() + START_TIMEOUT
        while time.perf_counter() < deadline:
            if self.process.poll() is not None:
                raise ServerError(f"{self.variant.name} ended at start:\n{self.tail()}")
            with contextlib.suppress(OSError, EOFError), socket.socket() as sock:
                sock.settimeout(START_TIMEOUT)
                sock.connect(("127.0.0.1", self.port))
                sock.sendall(LIVE)
                if read(sock).status == 200:
                    return time.perf_counter()
            time.sleep(POLL)
        raise ServerError(f"{self.variant.name} did not answer:\n{self.tail()}")

    def settle(self) -> None:
        """After the warm-up: take the processes that are measured, as soon as all are there."""
        deadline = time.perf_counter() + START_TIMEOUT
        while len(found := processes.tree(self.process.pid)) < self.variant.family:
            if time.perf_counter() > deadline:
                raise ServerError(f"{self.variant.name} has {len(found)} processes:\n{self.tail()}")
            time.sleep(POLL)
        self.pids = found

    def cpu(self) -> float:
        """Return the seconds of CPU of master and workers so far."""
        try:
            return processes.cpu(self.pids)
        except (OSError, psutil.NoSuchProcess) as error:
            raise ServerError(f"{self.variant.name} lost a process:\n{self.tail()}") from error

    def memory(self) -> float:
        """Return MiB (PSS) of master and workers."""
        return processes.memory(self.pids)

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def stop(self) -> None:
        """Stop quickly (SIGINT), and leave no process."""
        with contextlib.suppress(psutil.NoSuchProcess):
            family = [psutil.Process(pid) for pid in processes.tree(self.process.pid)]
            self.process.send_signal(signal.SIGINT)
            _, alive = psutil.wait_procs(family, timeout=10)
            for process in alive:
                process.kill()
        self.process.wait()


@contextlib.contextmanager
def running(variant: Variant, urls: Urls, folder: Path) -> Iterator[Server]:
    server = Server(variant, urls, folder)
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
