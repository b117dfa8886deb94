"""The log of releases as it is read: what has ended, what goes on, and what was killed."""

import json

import pytest

from deploy.history import cause, entries
from deploy.shell import CommandFailed, Failed


def line(who: str, what: str, result: str) -> str:
    return json.dumps({"at": result, "who": who, "what": what, "result": result, "seconds": 0})


def read(*lines: str) -> list[tuple[str, str]]:
    return [(each["what"], each["result"]) for each in entries("\n".join(lines))]


def test_what_has_ended_is_one_entry() -> None:
    assert read(line("alice", "release", "begun"), line("alice", "release", "ok")) == [
        ("release", "ok")
    ]


def test_a_release_that_runs_is_seen_though_a_back_up_has_ended_meanwhile() -> None:
    lines = (
        line("alice", "release", "begun"),
        line("deploy", "backup nightly", "begun"),
        line("deploy", "backup nightly", "ok"),
    )
    assert read(*lines) == [("release", "begun"), ("backup nightly", "ok")]
    assert read(*lines[:2], line("alice", "release", "ok")) == [
        ("backup nightly", "begun"),
        ("release", "ok"),
    ]


def test_one_that_was_killed_is_seen_after_the_same_one_has_ended() -> None:
    lines = [line("alice", "release", each) for each in ("begun", "begun", "ok")]
    assert read(*lines) == [("release", "begun"), ("release", "ok")]


def test_a_line_that_is_torn_is_left_out() -> None:
    assert read(line("alice", "release", "ok")[:20], line("bob", "rollback", "ok")) == [
        ("rollback", "ok")
    ]


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (CommandFailed(["migrate"], 1, "first\nlast\n"), "last"),
        (CommandFailed(["migrate"], -9, ""), "migrate ended with -9:"),
        (Failed("first\nlast"), "first"),
        (Failed(""), "it failed, and said nothing"),
    ],
)
def test_the_cause_of_a_failure_is_a_line(failure: Failed, said: str) -> None:
    assert cause(failure) == said
