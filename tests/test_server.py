"""How many processes: from the cgroup's limits, of version 1 and 2, never from the whole host."""

import os
from pathlib import Path

import pytest

from service import server
from service.server import cpu_limit, memory_limit
from service.settings import Settings

MIB = 2**20
ALLOWED = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cgroup(folder: Path, **files: str) -> Path:
    """A cgroup with these files; `cpu__quota` lies in a folder `cpu`."""
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return folder


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({"cpu_dot_max": "50000 100000"}, 0.5),
        ({"cpu_dot_max": f"{ALLOWED}00000 100000"}, ALLOWED),
        ({"cpu_dot_max": "99900000 100000"}, ALLOWED),
        ({"cpu_dot_max": "max 100000"}, ALLOWED),
        ({"cpu__cpu_dot_cfs_quota_us": "25000", "cpu__cpu_dot_cfs_period_us": "100000"}, 0.25),
        ({"cpu__cpu_dot_cfs_quota_us": "-1", "cpu__cpu_dot_cfs_period_us": "100000"}, ALLOWED),
        ({"cpu_dot_max": ""}, ALLOWED),
        ({}, ALLOWED),
    ],
)
def test_the_cpus_are_the_cgroups(tmp_path: Path, files: dict[str, str], cpus: float) -> None:
    assert cpu_limit(cgroup(tmp_path, **files)) == cpus


@pytest.mark.parametrize(
    ("files", "memory"),
    [
        ({"memory_dot_max": str(512 * MIB)}, 512 * MIB),
        ({"memory_dot_max": "max"}, None),
        ({"memory__memory_dot_limit_in_bytes": str(256 * MIB)}, 256 * MIB),
        ({"memory__memory_dot_limit_in_bytes": "9223372036854771712"}, None),
        ({}, None),
    ],
)
def test_the_memory_is_the_cgroups(
    tmp_path: Path, files: dict[str, str], memory: int | None
) -> None:
    assert memory_limit(cgroup(tmp_path, **files)) == memory


@pytest.mark.parametrize(
    ("cpus", "memory", "expected", "why"),
    [
        (0.5, None, 2, "0.5 CPUs, at least 2 and at most 16 processes"),
        (4, None, 4, "4 CPUs"),
        (3.5, None, 4, "3.5 CPUs"),
        (64, None, 16, "64 CPUs"),
        (8, 512 * MIB, 3, "memory: 512 MiB hold no more"),
        (8, 100 * MIB, 1, "memory: 100 MiB hold no more"),
        (2, 4096 * MIB, 2, "2 CPUs"),
    ],
)
def test_there_are_as_many_processes_as_the_machine_can_feed(
    cpus: float, memory: int | None, expected: int, why: str
) -> None:
    found = server.fitting(cpus, memory)
    assert found.count == expected
    assert why in found.why


def test_the_setting_wins(settings: Settings) -> None:
    found = server.processes(settings.model_copy(update={"web_concurrency": 7}))
    assert (found.count, found.why) == (7, "WEB_CONCURRENCY")
