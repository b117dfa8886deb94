"""Releases: what comes first, what is lost, and what will not be read for ever."""

import re
from collections.abc import Iterator
from datetime import date

from deploy.manifest import Finding, Manifest
from deploy.rules.written import every_process


def release(manifest: Manifest) -> Iterator[Finding]:
    """At least one of each runs, and a release loses neither requests nor jobs. What only one
    format can say of that, its reader looks at."""
    for stage, process in every_process(manifest):
        if process.least is not None and process.least.value < 1:
            yield Finding(
                "release",
                process.least.place,
                f"no {process.kind} runs in {stage.name}",
                "1 at least",
            )


def migration(manifest: Manifest) -> Iterator[Finding]:
    """The schema is there before the code that needs it."""
    for stage in manifest.stages:
        if stage.migrates_first is None:
            yield Finding(
                "migration",
                stage.place,
                f"{stage.name} takes traffic before its schema is migrated",
                "run `python -m service migrate` first, as deploy/<target>/README.md has it",
            )


def python(manifest: Manifest) -> Iterator[Finding]:
    """The version of Python is that of the Dockerfile."""
    if manifest.python is None:
        return
    place, version = manifest.python
    file = manifest.root / "Dockerfile"
    text = file.read_text() if file.is_file() else ""
    found = re.search(r"^ARG PYTHON_IMAGE=python:(\d+\.\d+)", text, re.M)
    if found is None or version != found[1]:
        theirs = found[1] if found else "none that is known"
        yield Finding(
            "python",
            place,
            f"it is Python {version}, the Dockerfile's is {theirs}",
            "make them one; the Dockerfile has it as ARG PYTHON_IMAGE=python:…",
        )


def deprecated(manifest: Manifest) -> Iterator[Finding]:
    """Forms that a platform will not read for ever: a warning until their date, if it is known."""
    for place, what, until in manifest.deprecated:
        gone = until is not None and date.today() >= date.fromisoformat(until)
        when = f"read until {until}" if until else "deprecated, no date is known"
        yield Finding("deprecated", place, f"{what} ({when})", "use the new form", warns=not gone)
