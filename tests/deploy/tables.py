"""What the suites on real engines and servers have counted: tables that are printed at the end.

Several processes may run them; each hands over what it has.
"""

from typing import NamedTuple

import pytest


class Table(NamedTuple):
    """A head, the rows below it, and lines below that."""

    head: str
    rows: list[str]
    figures: list[str]

    def __str__(self) -> str:
        rule = "|" + "---|" * (self.head.count("|") - 1)
        table = [self.head, rule, *sorted(self.rows)] if self.rows else []
        return "\n".join(["", *table, "", *self.figures])


HOST = Table("| scenario | requests | failed | retried | p99 | seconds |", [], [])
PLATFORMS = Table(
    "| platform | web healthy after | releases, a failed one, a rollback: requests | failed |"
    " slowest stop, of | jobs done | not confirmed |",
    [],
    [],
)
SERVERS = Table("| scenario | requests | failed | jobs lost | seconds |", [], [])
TABLES = (HOST, PLATFORMS, SERVERS)
COUNTED = "tables"  # in what a process hands over


def hand_over(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        counted = [[table.rows, table.figures] for table in TABLES]
        session.config.workeroutput[COUNTED] = counted


def take_over(node: object) -> None:
    """What a process has handed over; one that crashed has handed over nothing."""
    counted = getattr(node, "workeroutput", {}).get(COUNTED, [])
    for table, (rows, figures) in zip(TABLES, counted, strict=bool(counted)):
        table.rows.extend(rows)
        table.figures.extend(figures)
