"""Lynis, run on a server, and what its report says."""

import re
from dataclasses import dataclass

# Runs on the server; no network, no questions.
COMMAND = ["lynis", "audit", "system", "--quick", "--no-colors", "--quiet"]
REPORT = "/var/log/lynis-report.dat"
LEAST = 80


@dataclass(frozen=True)
class Report:
    """The index of 100, and what it would have otherwise: (test, text)."""

    index: int
    warnings: tuple[tuple[str, str], ...]
    suggestions: tuple[tuple[str, str], ...]

    def lines(self) -> list[str]:
        found = [f"warning {test}: {text}" for test, text in self.warnings]
        return found + [f"{test}: {text}" for test, text in self.suggestions]


def read(text: str) -> Report:
    """Of the file that it wrote. Raises AssertionError if the audit did not come to its end."""
    index = re.search(r"^hardening_index=(\d+)$", text, re.M)
    assert index and re.search(r"^finish=true$", text, re.M), f"no whole report:\n{text[-500:]}"
    return Report(int(index[1]), _of("warning", text), _of("suggestion", text))


def _of(kind: str, text: str) -> tuple[tuple[str, str], ...]:
    found = re.findall(rf"^{kind}\[\]=([^|\n]*)\|([^|\n]*)", text, re.M)
    return tuple((test, said) for test, said in found)
