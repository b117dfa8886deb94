"""The welcome mail: a job of who signs up."""

from email.message import EmailMessage

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from service.db import session
from service.outbox import QUEUED, RETRYING, Job
from service.users.models import User
from tests.working import work

ACCOUNT = {"email": "dora@example.com", "password": "long enough to be good", "name": "Dora"}


@pytest.fixture
def box(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[EmailMessage]:
    sent: list[EmailMessage] = []
    monkeypatch.setitem(app.extensions, "mail", sent.append)
    return sent


def test_who_signs_up_is_welcomed(
    charlie: FlaskClient, app: Flask, box: list[EmailMessage]
) -> None:
    assert charlie.post("/api/users", json=ACCOUNT).status_code == 201
    assert box == []  # not while they wait
    work(app)
    (mail,) = box
    assert mail["To"] == "dora@example.com"
    assert mail.get_content().startswith("Hello Dora,\n")


def test_who_is_refused_is_not_welcomed(
    charlie: FlaskClient, app: Flask, box: list[EmailMessage]
) -> None:
    for _ in range(2):
        charlie.post("/api/users", json=ACCOUNT)
    assert (work(app), len(box)) == (1, 1)


def test_nobody_is_welcomed_twice(
    charlie: FlaskClient, app: Flask, box: list[EmailMessage]
) -> None:
    charlie.post("/api/users", json=ACCOUNT)
    work(app)
    with app.app_context():
        session.execute(update(Job).values(status=QUEUED))
        session.commit()
    assert (work(app), len(box)) == (1, 1)


def test_who_is_gone_again_is_not_welcomed(
    charlie: FlaskClient, app: Flask, box: list[EmailMessage]
) -> None:
    charlie.post("/api/users", json=ACCOUNT)
    with app.app_context():
        session.query(User).delete()
        session.commit()
    assert (work(app), box) == (1, [])


def test_a_mail_that_was_not_sent_is_sent_later(
    charlie: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch, box: list[EmailMessage]
) -> None:
    unsent: list[EmailMessage] = []

    def down(message: EmailMessage) -> None:
        unsent.append(message)
        raise ConnectionRefusedError("no server")

    charlie.post("/api/users", json=ACCOUNT)
    with monkeypatch.context() as patch:
        patch.setitem(app.extensions, "mail", down)
        work(app)
    with app.app_context():
        requeued = update(Job).where(Job.status == RETRYING).values(status=QUEUED)
        session.execute(requeued)
        session.commit()
    assert (work(app), len(box)) == (1, 1)
    assert box[0]["Message-ID"] == unsent[0]["Message-ID"]  # the same mail, to who gets both
