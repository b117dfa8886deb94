"""`deploy load`: what its figures say, whom it refuses to hit, and a small real one."""

import re
from pathlib import Path

import pytest

from deploy.cli import main, parser
from deploy.load import run, steps
from deploy.load.steps import Lines, Step
from service.devservers import Postgres, Redis
from tests.serving import Served, own_database
from tests.waiting import until

LINES = Lines(p99=0.25, failed=0.001)
WELL = Step(clients=4, seconds=10, requests=8000, failed=0, limited=0, p50=0.004, p99=0.02)
WRONG = [
    ({"requests": 0}, "nothing was answered"),
    ({"failed": 9}, "0.11% failed"),
    ({"p99": 0.3}, "p99 of 300 ms"),
    ({"limited": 1}, "1 answered 429"),
]


@pytest.mark.parametrize(("change", "said"), WRONG)
def test_a_step_that_crosses_a_line_says_which(change: dict[str, float], said: str) -> None:
    assert WELL.crosses(LINES) == []
    assert WELL._replace(failed=8).crosses(LINES) == []
    assert WELL._replace(**change).crosses(LINES) == [said]


def test_clients_double_and_end_with_the_most() -> None:
    assert steps.doubling(1) == [1]
    assert steps.doubling(8) == [1, 2, 4, 8]
    assert steps.doubling(20) == [1, 2, 4, 8, 16, 20]


def test_the_advice_is_that_of_the_best_step_within_the_lines() -> None:
    found = [WELL, WELL._replace(clients=8, requests=9000), WELL._replace(clients=16, p99=1)]
    said = "\n".join(steps.advice(found, LINES))
    assert "bears 900 requests a second with 8 in flight" in said
    assert "630 for each instance" in said
    assert "6 for each instance" in said
    assert "may bear more" not in said
    assert "may bear more than 8" in "\n".join(steps.advice(found[:2], LINES))
    assert "No step kept the lines" in steps.advice([found[2]], LINES)[0]


def test_another_machine_is_not_hit_unless_somebody_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["load", "https://api.example.com", "--clients", "4"]) == 1
    said = capsys.readouterr().err
    assert "api.example.com is not this machine: up to 4 clients would ask it for 30 s" in said
    assert "--yes" in said


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://localhost:8000", True),
        ("http://127.0.0.9", True),
        ("http://[::1]:8000", True),
        ("http://10.0.0.1", False),
        ("https://localhost.example.com", False),
    ],
)
def test_what_is_this_machine(url: str, is_here: bool) -> None:
    assert run.is_loopback(url) == is_here


@pytest.mark.parametrize(
    "words",
    [
        ["ftp://a"],
        ["http://"],
        ["http://a/path"],
        ["http://a", "--clients", "0"],
        ["http://a", "--clients", "1001"],
        ["http://a", "--p99", "nan"],
        ["http://a", "--seconds", "-1"],
    ],
)
def test_words_that_make_no_sense_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["load", *words])


def test_nobody_there_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", "http://127.0.0.1:1"]) == 1
    assert "Connection refused" in capsys.readouterr().err


def test_a_limit_is_not_what_is_to_be_measured(
    postgres: Postgres, redis_server: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    few = {"RATE_LIMIT_DEFAULT": "50 per hour", "WEB_CONCURRENCY": "1", "WEB_THREADS": "1"}
    with Served(own_database(postgres), f"{redis_server.url[:-1]}10", **few) as web:
        # Redis may be slow at first: then nothing is counted for some seconds.
        until(lambda: "RateLimit-Limit" in web.request("GET", "/api/nowhere").headers, 20)
        assert main(["load", web.url]) == 1
    assert "lets one user ask 50 times" in capsys.readouterr().err


@pytest.mark.parametrize(("p99", "code", "mark"), [("60000", 0, "ok"), ("0.001", 1, "over: p99")])
def test_a_small_one(
    postgres: Postgres,
    redis_server: Redis,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    p99: str,
    code: int,
    mark: str,
) -> None:
    picture = tmp_path / "load.html"
    words = ["--clients", "2", "--seconds", "3", "--p99", p99, "--picture", str(picture)]
    limit = "1000000 per minute"
    with Served(own_database(postgres), redis_server.url, RATE_LIMIT_DEFAULT=limit) as web:
        assert main(["load", web.url, *words]) == code
        kept = web.request("GET", "/metrics").body.decode()
    said = capsys.readouterr().out
    rows = [line for line in said.splitlines() if line.endswith((mark, "ms"))]
    assert len(rows) == 2, said
    assert all(mark in row for row in rows)
    assert 'route="/api/users/me",status="2xx"' in kept
    page = picture.read_text()
    assert "/api/users/me" in page
    assert not re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=.https?:", page), "from elsewhere"
