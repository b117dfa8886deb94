"""What a tree of processes has used: CPU and memory."""

import contextlib
import sys
import time
from pathlib import Path

import psutil


def tree(pid: int) -> list[int]:
    """Return the process and its descendants."""
    root = psutil.Process(pid)
    return [pid, *sorted(child.pid for child in root.children(recursive=True))]


def cpu(pids: list[int]) -> float:
    """Return the seconds of CPU, user and system, ended threads included, of these processes."""
    return sum(_cpu(pid) for pid in pids)


class Used:
    """The CPU of a tree whose processes come and go: of a database, a process a connection."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.before = self._now()

    def seconds(self) -> float:
        """Since this was made. Those that began since count whole, those that ended not at all."""
        return sum(used - self.before.get(pid, 0.0) for pid, used in self._now().items())

    def _now(self) -> dict[int, float]:
        found = {}
        for pid in tree(self.pid):
            with contextlib.suppress(OSError, psutil.NoSuchProcess):
                found[pid] = _cpu(pid)
        return found


def _cpu(pid: int) -> float:
    if sys.platform == "linux":
        # The sum of utime and stime in /proc/PID/stat, in nanoseconds instead of ticks of 10 ms:
        # the process' CPU clock, spelled as clock_getcpuclockid(3) does.
        return time.clock_gettime_ns((~pid << 3) | 2) / 1e9
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def memory(pids: list[int]) -> float:
    """Return MiB in use by these processes; shared pages count in proportion (PSS) where known."""
    return sum(_memory(pid) for pid in pids) / 2**20


def _memory(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return int(psutil.Process(pid).memory_info().rss)
