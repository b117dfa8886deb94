"""The limits of cgroups, of version 1 and 2: of a container, and of a unit of systemd."""

import os
from pathlib import Path

import pytest

from service.cgroup import cpu_limit, memory_limit

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


def test_the_limits_of_a_unit_of_systemd_are_its_own_and_those_above_it(tmp_path: Path) -> None:
    unit = tmp_path / "cgroup/system.slice/web.service"
    cgroup(unit, memory_dot_max=str(512 * MIB), cpu_dot_max="max 100000")
    cgroup(unit.parent, memory_dot_max="max", cpu_dot_max="50000 100000")
    (ours := tmp_path / "ours").write_text("1:name=systemd:/x\n0::/system.slice/web.service\n")
    assert memory_limit(tmp_path / "cgroup", ours) == 512 * MIB
    assert cpu_limit(tmp_path / "cgroup", ours) == 0.5


def test_what_the_host_calls_a_container_s_is_not_seen_in_it(tmp_path: Path) -> None:
    cgroup(tmp_path / "cgroup", memory_dot_max=str(256 * MIB))
    (ours := tmp_path / "ours").write_text("0::/docker/1a2b3c\n")
    assert memory_limit(tmp_path / "cgroup", ours) == 256 * MIB
