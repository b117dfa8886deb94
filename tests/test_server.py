"""How many processes: from the limits of cgroups (test_cgroup.py), never from the whole host."""

import pytest

from service import server
from service.settings import Settings

MIB = 2**20


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
