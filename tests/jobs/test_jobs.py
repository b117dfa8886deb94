"""Jobs as their owners see them, and as operators do on the command line."""

import argparse
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import update

from service.__main__ import parser
from service.db import session
from service.errors import Conflict
from service.ids import uuid7
from service.jobs import cli
from service.outbox import QUEUED, RETRYING, Job, enqueue
from service.queue import job
from tests.people import NOBODYS, Person
from tests.waiting import until
from tests.working import job as job_of
from tests.working import work


@job(attempts=1)
def fail(how: str) -> None:
    raise Conflict("You have no posts.") if how == "openly" else RuntimeError("a secret detail")


@job()
def succeed() -> dict[str, int]:
    return {"answer": 42}


def enqueued(app: Flask, person: Person | None, function: Any, *args: Any) -> UUID:
    with app.app_context():
        id = enqueue(session, function, *args, owner=person and person.id)
        session.commit()
        return id


def show(person: Person, id: UUID) -> dict[str, Any]:
    answer = person.get(f"/api/jobs/{id}")
    assert answer.status_code == 200
    return answer.get_json()


def test_the_owner_sees_how_it_goes(alice: Person, app: Flask) -> None:
    id = enqueued(app, alice, succeed)
    waiting = {"id": str(id), "status": "queued", "progress": None, "result": None, "error": None}
    assert show(alice, id) == waiting
    work(app)
    assert show(alice, id) == waiting | {"status": "succeeded", "result": {"answer": 42}}


def test_the_owner_is_told_what_may_be_known_of_a_failure(alice: Person, app: Flask) -> None:
    openly, otherwise = (enqueued(app, alice, fail, how) for how in ("openly", "otherwise"))
    work(app)
    assert show(alice, openly)["error"] == "You have no posts."
    assert show(alice, otherwise)["error"] == "The job failed. Who runs this service has been told."


def test_nobody_else_sees_it(alice: Person, bob: Person, app: Flask) -> None:
    ids = [enqueued(app, alice, succeed), enqueued(app, None, succeed), NOBODYS, "no-uuid"]
    assert [bob.get(f"/api/jobs/{id}").status_code for id in ids] == [404] * 4
    assert alice.client.get(f"/api/jobs/{ids[0]}").status_code == 401


def run(app: Flask, *arguments: object) -> int:
    parsed: argparse.Namespace = parser().parse_args(["jobs", *map(str, arguments)])
    return cli.run(app, parsed)


def test_operators_see_what_has_failed(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, "list") == 0
    assert "No job waits or has failed." in capsys.readouterr().out
    id = enqueued(app, None, fail, "otherwise")
    until(lambda: uuid7().int >> 80 > id.int >> 80)  # within a millisecond ids have no order
    enqueued(app, None, succeed)
    work(app)
    capsys.readouterr()
    assert run(app, "list") == 0
    out = capsys.readouterr().out
    assert f"{id}  failed  tests.jobs.test_jobs.fail  1" in out
    assert "RuntimeError: a secret detail" in out
    assert "\n1 failed\n" in out
    assert run(app, "list", "--status", "all", "--limit", "1") == 0
    assert "test_jobs.succeed" in capsys.readouterr().out
    assert run(app, "show", id) == 0
    assert 'arguments     [["otherwise"],{}]' in capsys.readouterr().out


def test_a_failed_job_is_tried_again_with_all_its_attempts(
    app: Flask, capsys: pytest.CaptureFixture[str]
) -> None:
    id = enqueued(app, None, fail, "otherwise")
    assert run(app, "retry", id) == 1  # it has not failed
    work(app)
    assert run(app, "retry", id) == 0
    again = job_of(app, id)
    assert (again.status, again.max_attempts - again.attempts) == (RETRYING, 1)
    assert "will be tried again" in capsys.readouterr().out


@job(attempts=5)
def fail_later() -> None: ...


def test_all_of_a_function_that_failed_are_tried_again_or_discarded(
    app: Flask, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "tests.jobs.test_jobs.fail_later"
    first, second = (enqueued(app, None, fail_later) for _ in range(2))
    other, waiting = enqueued(app, None, fail, "x"), enqueued(app, None, fail_later)
    assert run(app, "retry", "--function", name) == 1
    assert f"{name}: no job of this function has failed" in capsys.readouterr().err
    with app.app_context():
        failed = Job.id.in_([first, second, other])
        changes = {"status": "failed", "attempts": 5, "refused_at": datetime.now(UTC)}
        session.execute(update(Job).where(failed).values(changes))
        session.commit()
    assert run(app, "list", "--function", name) == 0
    assert str(other) not in capsys.readouterr().out
    assert run(app, "retry", "--function", name) == 0
    assert f"{name}: 2 will be tried again" in capsys.readouterr().out
    again = job_of(app, first)
    assert (again.status, again.max_attempts, again.refused_at) == (RETRYING, 10, None)
    assert [job_of(app, id).status for id in (second, other, waiting)] == [
        *(RETRYING, "failed"),
        QUEUED,
    ]
    assert run(app, "discard", "--function", "tests.jobs.test_jobs.fail") == 0
    with app.app_context():
        assert session.get(Job, other) is None
        assert session.get(Job, waiting) is not None


def test_a_job_is_discarded_unless_it_runs_or_has_succeeded(app: Flask) -> None:
    failed, waiting, done = (
        enqueued(app, None, fail, "x"),
        enqueued(app, None, succeed),
        enqueued(app, None, succeed),
    )
    with app.app_context():
        for id, status in ((failed, "failed"), (waiting, QUEUED), (done, "succeeded")):
            found = session.get(Job, id)
            assert found is not None
            found.status = status
        session.commit()
    assert [run(app, "discard", id) for id in (failed, waiting, done)] == [0, 0, 1]
    with app.app_context():
        assert [session.get(Job, id) is None for id in (failed, waiting, done)] == [
            *(True, True),
            False,
        ]


def test_what_is_not_there_is_said(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("show", "retry", "discard"):
        assert run(app, verb, NOBODYS) == 1
        assert NOBODYS in capsys.readouterr().err
    for wrong in (["show", "no-uuid"], ["retry"], ["retry", NOBODYS, "--function", "x"]):
        with pytest.raises(SystemExit, match="2"):
            run(app, *wrong)
