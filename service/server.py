"""The web server: how many processes, and what gunicorn needs to be told in code.

Nothing to change here; gunicorn's settings are in gunicorn.conf.py at the root.
"""

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gunicorn import glogging
from gunicorn.workers.gthread import ThreadWorker

from service import health
from service.settings import Settings

PROCESS_MEMORY = 128 * 2**20  # bytes that a process may come to use, and keep to under load
MASTER_MEMORY = 64 * 2**20
FEWEST = 2  # so that one process that restarts or hangs leaves another
MOST = 16  # more belong on another machine

CGROUP = Path("/sys/fs/cgroup")


class Processes(NamedTuple):
    """How many processes, and why, for people."""

    count: int
    why: str


def processes(settings: Settings) -> Processes:
    """How many processes of the web server this machine, or its part of one, can feed."""
    if settings.web_concurrency:
        return Processes(settings.web_concurrency, "WEB_CONCURRENCY")
    cpus, memory = cpu_limit(), memory_limit()
    wanted = min(max(FEWEST, math.ceil(cpus)), MOST)
    why = f"{cpus:g} CPUs, at least {FEWEST} processes"
    if memory is not None:
        fits = max(1, (memory - MASTER_MEMORY) // PROCESS_MEMORY)
        if fits < wanted:
            return Processes(fits, f"memory: {memory >> 20} MiB hold no more")
    return Processes(wanted, why)


def cpu_limit(cgroup: Path = CGROUP) -> float:
    """CPUs that this process may use: its cgroup's quota, or those it is allowed to run on."""
    allowed = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    quota = _read(cgroup / "cpu.max")
    if len(quota) < 2:  # version 1 of cgroups
        quota = _read(cgroup / "cpu/cpu.cfs_quota_us") + _read(cgroup / "cpu/cpu.cfs_period_us")
    if len(quota) < 2 or not quota[0].isdigit():
        return allowed
    return min(allowed, int(quota[0]) / int(quota[1]))


def memory_limit(cgroup: Path = CGROUP) -> int | None:
    """Bytes that this process's cgroup may use; None where there is no limit."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        found = _read(cgroup / name)
        if found and found[0].isdigit() and int(found[0]) < 2**60:
            return int(found[0])
    return None


def _read(path: Path) -> Sequence[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


class Worker(ThreadWorker):
    """A gunicorn worker that tells /health/ready when it is about to stop."""

    def handle_exit(self, sig: int, frame: Any) -> None:
        health.draining.set()
        super().handle_exit(sig, frame)


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
