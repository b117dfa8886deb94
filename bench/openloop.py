"""An open loop: requests come when they come, whether or not the last ones have been answered.

A client that waits for its answer before it asks again asks a slow server less, and so leaves out
what users would have waited for ("co-ordinated omission"). Here each request has a time at which
it is due, and its latency counts from then, though it may have been sent later.
"""

import itertools
import random
import statistics
import time
from collections.abc import Callable, Sequence

SEED = 1  # the same arrivals for every server


def arrivals(rate: float, seconds: float, seed: int = SEED) -> list[float]:
    """Seconds after the start at which `rate` requests a second come, as independent users send
    them: a Poisson process, in which several may come at once."""
    gaps = random.Random(seed)
    return list(
        itertools.takewhile(
            lambda at: at < seconds,
            itertools.accumulate(gaps.expovariate(rate) for _ in itertools.count()),
        )
    )


class Schedule:
    """When each request is due, and the latencies of those that were answered."""

    def __init__(
        self,
        due: Sequence[float],
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self.latencies: list[float] = []  # appending is atomic under the GIL
        start = clock() + 0.1  # so that all connections wait for the first
        self._due = [start + at for at in due]

    def wait(self, turn: int) -> None:
        """Wait until the request is due; not at all where it is late."""
        if (left := self._due[turn] - self._clock()) > 0:
            self._sleep(left)

    def answered(self, turn: int) -> None:
        self.latencies.append(self._clock() - self._due[turn])


def percentiles(latencies: Sequence[float]) -> tuple[float, float]:
    """p50 and p99, in ms."""
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    return cuts[49] * 1e3, cuts[98] * 1e3
