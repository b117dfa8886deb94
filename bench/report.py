"""The table: absolute figures, ratios to the baseline, limits."""

import math
import platform
import statistics
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psutil

from bench.measure import Samples
from bench.variants import BASELINE


@dataclass(frozen=True)
class Row:
    """One figure, and its ratio to the baseline's, taken round by round.

    `interval` holds the true ratio in nine runs of ten, so far as the rounds can tell.
    """

    cell: str
    label: str
    variant: str
    value: float
    unit: str
    ratio: float
    interval: tuple[float, float] | None
    limit: float | None
    at: float | None = None  # of a curve's point: how many processes, clients, rows, requests

    @property
    def over(self) -> bool:
        return self.limit is not None and self.ratio > self.limit


def rows(samples: list[Samples]) -> list[Row]:
    base = {s.cell: s.values for s in samples if s.variant is BASELINE}
    return [row(s, base[s.cell]) for s in sorted(samples, key=lambda s: list(base).index(s.cell))]


def row(samples: Samples, base: list[float]) -> Row:
    values = samples.values
    if samples.best:
        value, ratio, between = min(values), min(values) / min(base), None
    else:
        ratios = [mine / other for mine, other in zip(values, base, strict=True)]
        value, ratio = statistics.median(values), statistics.median(ratios)
        between = interval(ratios)
    return Row(
        samples.cell,
        samples.label,
        samples.variant.name,
        round(value, 1),
        samples.unit,
        round(ratio, 3),
        between,
        samples.variant.limits.get(samples.cell),
    )


def interval(values: list[float]) -> tuple[float, float] | None:
    """Return the 90 % confidence interval of the median, by the sign test's order statistics; of
    one or two values there is none."""
    if len(values) < 3:
        return None
    reach = 1.645 * math.sqrt(len(values)) / 2
    low = max(0, math.floor(len(values) / 2 - reach))
    ordered = sorted(values)
    return round(ordered[low], 3), round(ordered[-1 - low], 3)


def table(figures: list[Row]) -> str:
    """Return the figures as aligned text; a curve's ratios are to its first point."""
    lines = [("", "variant", "", "ratio", "90 %", "limit", "")]
    previous = ""
    for f in figures:
        lines.append(
            (
                f.label if f.label != previous else "",
                f.variant,
                f"{f.value:.0f} {f.unit:<3}",
                f"{f.ratio:.2f}",
                "" if f.interval is None else "{:.2f}–{:.2f}".format(*f.interval),
                "" if f.limit is None else f"≤ {f.limit:.2f}",
                "" if f.limit is None else "OVER" if f.over else "ok",
            )
        )
        previous = f.label
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    left = (0, 1, 6)
    return "\n".join(
        "  ".join(
            text.ljust(width) if i in left else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def machine(postgres_version: str, extent: str) -> dict[str, str]:
    return {
        "measured": date.today().isoformat(),
        "cpu": cpu_model(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "postgresql": postgres_version,
        "extent": extent,
    }


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        return platform.processor() or platform.machine()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} × {models[0]}" if models else platform.machine()
