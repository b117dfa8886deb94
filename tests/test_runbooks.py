"""The runbooks and the checklist: their commands are commands, and those of the service run."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from deploy.cli import parser as operators
from service.__main__ import parser
from service.devservers import Postgres, Redis
from service.environment import ROOT
from tests.children import surroundings
from tests.serving import own_database, variables

RUNBOOKS = ROOT / "docs" / "operations.md"
PAGES = (RUNBOOKS, ROOT / "docs" / "checklist.md", ROOT / "docs" / "configuration.md")
FAILED = """
    INSERT INTO jobs (id, function, arguments, queue, status, attempts, max_attempts, due_at)
    VALUES (gen_random_uuid(), 'users.jobs.welcome', '[]', 'high', 'failed', 8, 8, now())
"""
SERVICE, DEPLOY = "python -m service ", "python -m deploy "
# Needs what no test has at hand here: a worker on this machine (tests/processes has).
ELSEWHERE = ("healthcheck worker",)


def typed(page: Path) -> list[str]:
    """The lines of its shell blocks, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.M | re.S)
    return [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]


def test_each_runbook_has_a_symptom_a_look_what_to_do_and_an_after() -> None:
    runbooks = RUNBOOKS.read_text().split("\n## ")[1:]
    assert len(runbooks) >= 6
    for runbook in runbooks:
        assert re.findall(r"^\*(\w+):\*", runbook, re.M) == ["Symptom", "Look", "Do", "After"]
        assert len(runbook.splitlines()) <= 45, "a runbook is read in a hurry"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_commands_are_commands(page: Path) -> None:
    lines = [*typed(page), *re.findall(r"`(python -m [^`…]+)`", page.read_text())]
    for line in lines:
        if line.startswith(SERVICE):
            parser().parse_args(shlex.split(line.removeprefix(SERVICE)))
        elif line.startswith(DEPLOY) and line != f"{DEPLOY}readiness":  # named in a sentence
            operators().parse_args(shlex.split(line.removeprefix(DEPLOY)))
        else:
            assert line == f"{DEPLOY}readiness" or line.startswith("docker "), line


def test_those_of_the_service_run(postgres: Postgres, redis_server: Redis) -> None:
    url = own_database(postgres)
    given = variables(url, redis_server.url)
    lines = {line.removeprefix(SERVICE) for line in typed(RUNBOOKS) if line.startswith(SERVICE)}
    assert len(lines) >= 7
    for line in sorted(lines - set(ELSEWHERE)):
        fail_a_job(url)
        ended = subprocess.run(
            [sys.executable, "-m", "service", *shlex.split(line)],
            cwd=ROOT,
            env=surroundings() | given,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == 0, (line, ended.stdout, ended.stderr)


def fail_a_job(url: str) -> None:
    """For good, for retry and discard to have one."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(FAILED)
