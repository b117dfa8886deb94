"""The log of releases as its lines are read, on a host with Docker and on servers of one's own."""

import json
from contextlib import suppress
from typing import Any

from deploy.shell import CommandFailed, Failed

_OF_THE_END = {"at", "result", "seconds"}  # what the end of a change says otherwise than its begin


def entries(text: str) -> list[dict[str, Any]]:
    """The lines of the log. One that says `begun` is left out if the one of its end follows."""
    found: list[dict[str, Any]] = []
    for line in text.splitlines():
        with suppress(ValueError):  # torn: the disk was full, or the power was cut
            entry = json.loads(line)
            if entry["result"] != "begun" and (begun := _begun(found, entry)):
                found.remove(begun)
            found.append(entry)
    return found


def _begun(found: list[dict[str, Any]], end: dict[str, Any]) -> dict[str, Any] | None:
    """The begin of the same change; not the last one of all, since a back-up may be made while a
    release runs."""
    same = (each for each in reversed(found) if _change(each) == _change(end))
    return next((each for each in same if each["result"] == "begun"), None)


def _change(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: said for name, said in entry.items() if name not in _OF_THE_END}


def cause(failure: Failed) -> str:
    """In one line: what a command said last, or what we say first."""
    if isinstance(failure, CommandFailed) and failure.said:
        return failure.said.splitlines()[-1].strip()
    return next(iter(str(failure).splitlines()), "it failed, and said nothing")
