"""What a smoke test is answered: only with the token, and nothing stays behind."""

from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import func, select

from service.db import session
from service.outbox import Job, enqueue
from service.users.jobs import welcome
from tests.people import Person
from tests.working import work

TOKEN = "a token of the tests, long enough for production"


def jobs(app: Flask) -> int:
    with app.app_context():
        return session.scalar(select(func.count()).select_from(Job)) or 0


def test_a_job_is_followed_and_forgotten(app: Flask, client: FlaskClient) -> None:
    begun = client.post("/smoke")
    assert begun.status_code == 202
    path = f"/smoke/{begun.json['job']}"
    assert begun.json | {"job": ""} == {
        "job": "",
        "environment": "test",
        "origins": [],
        "client": "127.0.0.1",
        "debug": False,
    }
    assert client.get(path).json == {"status": "queued", "version": None}
    work(app)
    assert client.get(path).json == {"status": "succeeded", "version": "unknown"}
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert jobs(app) == 0


def test_other_jobs_are_nobody_s_business(app: Flask, alice: Person) -> None:
    with app.app_context():
        other = enqueue(session, welcome, alice.id)
        session.commit()
    for id in (other, uuid4()):
        assert app.test_client().get(f"/smoke/{id}").status_code == 404
    assert app.test_client().delete(f"/smoke/{other}").status_code == 204
    assert jobs(app) == 1


@pytest.mark.parametrize(
    ("environment", "token", "given", "status"),
    [
        ("production", None, None, 404),
        ("production", TOKEN, None, 401),
        ("staging", TOKEN, "wrong", 401),
        ("production", TOKEN, TOKEN, 404),
        ("test", None, None, 404),
    ],
)
def test_only_who_has_the_token_is_answered(
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
    environment: str,
    token: str | None,
    given: str | None,
    status: int,
) -> None:
    """404 with the token: there is no such job."""
    changes = {"app_env": environment, "smoke_token": token and SecretStr(token)}
    settings = app.extensions["settings"].model_copy(update=changes)
    monkeypatch.setitem(app.extensions, "settings", settings)
    headers = {"Authorization": f"Bearer {given}"} if given else {}
    answer = app.test_client().get(f"/smoke/{uuid4()}", headers=headers)
    assert answer.status_code == status
    assert ("smoke test" in answer.json["detail"]) == (
        environment != "production" or token is not None
    )
