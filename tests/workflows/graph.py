"""Which job follows which, with what, and what it may do."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def in_order(jobs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    done: list[str] = []
    while len(done) < len(jobs):
        ready = [
            each
            for each, spec in jobs.items()
            if each not in done and all(need in done for need in listed(spec.get("needs")))
        ]
        assert ready, "jobs that need each other"
        for each in ready:
            done.append(each)
            yield each, jobs[each]


def ancestors(jobs: Mapping[str, Any], job: str) -> Iterator[str]:
    """Those that it needs, and what they need."""
    for each in listed(jobs[job].get("needs")):
        yield each
        yield from ancestors(jobs, each)


def combinations(matrix: Mapping[str, list[str]]) -> Iterator[dict[str, str]]:
    for values in product(*matrix.values()):
        yield dict(zip(matrix, values, strict=True))


def defaults(on: Mapping[str, Any]) -> dict[str, str]:
    """Of the inputs of a workflow that is called, or begun by hand."""
    return {
        key: spec.get("default", "")
        for kind in ("workflow_call", "workflow_dispatch")
        for key, spec in ((on.get(kind) or {}).get("inputs") or {}).items()
    }


def may_at_most(
    name: str, job: str, wanted: Mapping[str, str], allowed: Mapping[str, str] | None
) -> None:
    """Who is called has no permission that the caller does not give: GitHub would refuse it."""
    if allowed is not None:
        more = [each for each, level in wanted.items() if allowed.get(each) != level]
        assert not more, f"{name}, {job}: its caller does not give {more}"
