"""What a load test found, step by step: which lines were kept, and what that says of scaling."""

import math
from collections.abc import Sequence
from typing import NamedTuple

HEADROOM = 0.7  # of what one bears: the rest is for while the next one starts


class Lines(NamedTuple):
    """What must not be crossed."""

    p99: float  # seconds
    failed: float  # share of the requests


class Step(NamedTuple):
    """So many clients, each sending the next request as soon as the last one is answered."""

    clients: int
    seconds: float
    requests: int
    failed: int
    limited: int  # answered 429: that is the limit's doing, and measures nothing
    p50: float  # seconds
    p99: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    def crosses(self, lines: Lines) -> list[str]:
        """What is wrong with it, for people."""
        found = []
        if not self.requests:
            return ["nothing was answered"]
        if self.limited:
            found.append(f"{self.limited} answered 429")
        if self.failed > lines.failed * self.requests:
            found.append(f"{self.failed / self.requests:.2%} failed")
        if self.p99 > lines.p99:
            found.append(f"p99 of {1000 * self.p99:.0f} ms")
        return found


def doubling(most: int) -> list[int]:
    """1, 2, 4, … up to as many clients."""
    found = [2**power for power in range(int(math.log2(most)) + 1)]
    return found if found[-1] == most else [*found, most]


def best(steps: Sequence[Step], lines: Lines) -> Step | None:
    """The one with the most requests a second of those that keep the lines."""
    kept = [step for step in steps if not step.crosses(lines)]
    return max(kept, key=lambda step: step.rate, default=None)


def advice(steps: Sequence[Step], lines: Lines) -> list[str]:
    """What it says of autoscaling settings, for people."""
    if (found := best(steps, lines)) is None:
        return ["No step kept the lines: it is too small, or something is wrong with it."]
    rate, in_flight = HEADROOM * found.rate, max(1, round(HEADROOM * found.clients))
    said = [
        f"It bears {found.rate:.0f} requests a second with {found.clients} in flight. Have another"
        f" one started at {HEADROOM:.0%} of that:",
        f"  by requests a second     {rate:.0f} for each instance",
        f"  by requests in flight    {in_flight} for each instance (Fly: soft_limit; Cloud Run:"
        " concurrency)",
        f"  by processor             what its dashboard shows at {rate:.0f} a second (Kubernetes,"
        " ECS, DigitalOcean, Render)",
    ]
    if found is steps[-1]:
        said.append(f"It may bear more than {found.clients} clients: ask with --clients.")
    return said
