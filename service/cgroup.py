"""What part of its machine this process may use: the limits of cgroups, of version 2 and 1."""

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
OURS = Path("/proc/self/cgroup")  # where in there we are


def cpu_limit(cgroup: Path = CGROUP, ours: Path = OURS) -> float:
    """CPUs that this process may use: its cgroup's quota, or those it is allowed to run on."""
    allowed = float(
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    quotas = [_read(folder / "cpu.max") for folder in _folders(cgroup, ours)]
    version_1 = _read(cgroup / "cpu/cpu.cfs_quota_us") + _read(cgroup / "cpu/cpu.cfs_period_us")
    limits = [
        int(quota[0]) / int(quota[1])
        for quota in (*quotas, version_1)
        if len(quota) == 2 and quota[0].isdigit()
    ]
    return min(allowed, *limits) if limits else allowed


def memory_limit(cgroup: Path = CGROUP, ours: Path = OURS) -> int | None:
    """Bytes that this process's cgroup may use; None where there is no limit."""
    files = [folder / "memory.max" for folder in _folders(cgroup, ours)]
    limits = [
        int(found[0])
        for file in (*files, cgroup / "memory/memory.limit_in_bytes")  # of version 1
        if (found := _read(file)) and found[0].isdigit() and int(found[0]) < 2**60
    ]
    return min(limits, default=None)


def _folders(cgroup: Path, ours: Path) -> list[Path]:
    """The folders whose limits hold for us. In a container our cgroup is the root of what is seen;
    systemd gives each service one of its own, below others with limits of theirs."""
    for line in _lines(ours):
        if line.startswith("0::/"):
            own = cgroup / line[4:]
            return [each for each in (own, *own.parents) if each.is_relative_to(cgroup)]
    return [cgroup]


def _read(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
