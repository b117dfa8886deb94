"""`python -m deploy log`: who promoted or rolled back what, when, and what came of it.

Lines of JSON in a file. The platforms keep their own histories; this one is the same for all.
"""

import argparse
import fcntl
import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.history import entries
from deploy.shell import Failed, say

ROOT = Path(__file__).resolve().parents[2]
FILE = ".deploy/log.jsonl"
COLUMNS = ("at", "verb", "target", "stage", "version", "who", "seconds", "result")
# Who began the run, where CI says so: GitHub, GitLab.
ACTORS = {"GITHUB_ACTOR": "GitHub Actions", "GITLAB_USER_LOGIN": "GitLab CI"}


class Log:
    """The lines of one call: a begin and an end of each change."""

    def __init__(self, file: Path, who: str, target: str, stage: str) -> None:
        self._file = file
        self._same = {"who": who, "target": target, "stage": stage}
        self.written: list[dict[str, Any]] = []

    def begin(
        self,
        verb: str,
        version: str,
        gone: Mapping[str, str] | None = None,
        *,
        anyway: bool = False,
    ) -> "Change":
        """`gone`: from what, as the target names it. Raises Failed if it cannot be written: then
        nothing is done, but what must be done `anyway`."""
        of_gone = {"from": dict(gone)} if gone else {}
        found = Change(self, {**self._same, "verb": verb, "version": version, **of_gone})
        if anyway:
            found.end("begun")
        else:
            found.write("begun")
        return found

    def gone_back_from(self) -> set[tuple[str, str]]:
        """Name and version, as the target names it, of what has not been promoted since. Raises
        Failed."""
        try:
            text = self._file.read_text() if self._file.exists() else ""
        except OSError as error:
            raise Failed(f"the log {self._file} cannot be read: {error.strerror}") from None
        found: set[tuple[str, str]] = set()
        for each in entries(text):
            if (each.get("target"), each.get("stage")) != (
                self._same["target"],
                self._same["stage"],
            ):
                continue
            found |= set(each.get("from", {}).items())
            if each["result"] == "ok":  # labels and images end with their commit
                found = {(name, said) for name, said in found if not said.endswith(each["version"])}
        return found

    def write(self, entry: dict[str, Any]) -> None:
        """Raises Failed."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a") as log:
                fcntl.flock(log, fcntl.LOCK_EX)
                log.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise Failed(f"the log {self._file} cannot be written: {error.strerror}") from None
        self.written.append(entry)


class Change:
    """One promotion or rollback."""

    def __init__(self, log: Log, same: Mapping[str, Any]) -> None:
        self._log, self._same, self._begun = log, same, time.monotonic()

    def end(self, result: str) -> None:
        """What cannot be written is said: what has been done counts all the same."""
        try:
            self.write(result)
        except Failed as failure:
            say(f"warning: {failure}; there it would say {result!r}", sys.stderr)

    def write(self, result: str) -> None:
        """Raises Failed."""
        seconds = round(time.monotonic() - self._begun, 1)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self._log.write({"at": at, **self._same, "seconds": seconds, "result": result})


def who(environ: Mapping[str, str], user: str) -> str:
    for name, where in ACTORS.items():
        if actor := environ.get(name):
            return f"{actor} ({where})"
    return user


def shown(file: Path, *, markdown: bool) -> str:
    """A line or a row for each, the oldest first. What is `begun` was killed, or still runs."""
    found = entries(file.read_text()) if file.exists() else []
    rows = [[str(each.get(name, "")) for name in COLUMNS] for each in found]
    if not markdown:
        return "\n".join("  ".join(row) for row in rows)
    lines = [COLUMNS, ("---",) * len(COLUMNS), *([_cell(each) for each in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--markdown", action="store_true", help="as a table")
    parser.add_argument("--log", type=Path, default=ROOT / FILE, help=f"({FILE})")


def main(words: Sequence[str]) -> int:
    """0, or 2 usage."""
    parser = argparse.ArgumentParser(prog="python -m deploy log")
    add_arguments(parser)
    given = parser.parse_args(words)
    print(shown(given.log, markdown=given.markdown))
    return 0
