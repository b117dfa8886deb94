"""What an item of the checklist comes to: a verdict, what it rests on, and what to do."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["pass", "fail", "by hand"]


@dataclass(frozen=True)
class Answer:
    """Of one item."""

    verdict: Verdict
    evidence: str
    todo: str = ""


def passed(evidence: str) -> Answer:
    return Answer("pass", evidence)


def failed(evidence: str, todo: str) -> Answer:
    return Answer("fail", evidence, todo)


def by_hand(evidence: str, todo: str) -> Answer:
    """For what cannot be seen from here, or is for a person to decide: never "pass"."""
    return Answer("by hand", evidence, todo)
