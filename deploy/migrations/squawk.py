"""Squawk, which knows what a statement does to a live table: how it is asked, what it says.

Its rules: squawkhq.com/docs/rules. Another one does not hold here: NO_SQUAWK, with the reason.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.shell import CommandFailed, Failed, run

# Of squawk's rules, those that do not hold here.
NO_SQUAWK = (
    "require-lock-timeout",  # `python -m service migrate` sets both
    "require-statement-timeout",
    "prefer-bigint-over-int",  # keys are UUIDs; what an int counts here stays small
    "prefer-text-field",  # a length in the schema is the model's choice
    "transaction-nesting",  # how Alembic's autocommit_block() is spelt in SQL
    "ban-uncommitted-transaction",
)
# Those that squawk leaves to whom they concern: where old code runs on the new schema, all of us.
# Not: ban-set-default, ban-add-enum-value, ban-add-column, which are how one expands.
ALSO_SQUAWK = (
    "ban-new-write-restriction",
    "ban-drop-index",
    "ban-drop-trigger",
    "ban-disable-trigger",
    "ban-detach-inheritance",
    "ban-replace-view-function",
    "ban-alter-row-level-security",
    "ban-create-policy",
    "ban-drop-policy",
    "ban-alter-policy-condition",
    "ban-alter-policy-roles",
    "ban-revoke",
)

_OTHER_LETTERS = re.compile(r"[^\x00-\x7f]")  # of which squawk counts the bytes


@dataclass(frozen=True)
class Said:
    """What squawk says of a part of a script."""

    rule: str
    message: str
    advice: str | None
    start: int
    end: int


def ask(sql: str) -> list[Said]:
    """What it finds. Raises Failed if it cannot be asked."""
    try:
        answer = run(command(), given=_OTHER_LETTERS.sub("x", sql).encode())
    except CommandFailed as failure:  # as it does when it has found something
        answer = failure.said
    try:
        return list(_read(json.loads(answer), sql))
    except (ValueError, KeyError, TypeError):
        raise Failed(f"squawk said what is no finding of it: {answer[:300]}") from None


def command() -> list[str]:
    """Without a configuration: what a revision may do is said in the revision."""
    beside = Path(sys.executable).with_name("squawk")
    return [
        str(beside) if beside.exists() else "squawk",
        "--reporter=json",
        "--config=/dev/null",
        "--assume-in-transaction",
        "--pg-version=14.0",
        f"--exclude={','.join(NO_SQUAWK)}",
        f"--include={','.join(ALSO_SQUAWK)}",
    ]


def _read(found: list[dict[str, Any]], sql: str) -> Iterator[Said]:
    starts = [0, *(found.end() for found in re.finditer("\n", sql))]
    for each in found:
        start = starts[each["line"]] + each["column"]
        end = starts[each["line_end"]] + each["column_end"]
        yield Said(each["rule_name"], each["message"], each["help"], start, end)
