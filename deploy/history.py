"""The log of releases as its lines are read, on a host with Docker and on servers of one's own."""

import json
from contextlib import suppress
from typing import Any

from deploy.shell import CommandFailed, Failed


def entries(text: str) -> list[dict[str, Any]]:
    """The lines of the log. One that says `begun` is left out if the one of its end follows."""
    found: list[dict[str, Any]] = []
    for line in text.splitlines():
        with suppress(ValueError):  # torn: the disk was full, or the power was cut
            entry = json.loads(line)
            if found and found[-1]["result"] == "begun" and entry["result"] != "begun":
                found.pop()
            found.append(entry)
    return found


def cause(failure: Failed) -> str:
    """In one line: what a command said last, or what we say first."""
    if isinstance(failure, CommandFailed) and failure.said:
        return failure.said.splitlines()[-1].strip()
    return str(failure).splitlines()[0]
