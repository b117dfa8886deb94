"""Old rows are removed some at a time, however many there are."""

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from service import cleaning
from service.db import session
from service.effects import Effect, once, remove_old_effects
from service.outbox import QUEUED, Job, enqueue
from tests.working import work


def effects(app: Flask) -> int:
    with app.app_context():
        return session.scalar(select(func.count()).select_from(Effect)) or 0


def test_what_is_more_than_a_batch_is_removed_by_the_next_run(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "BATCH", 2)
    with app.app_context():
        assert all(once(session, f"effect {number}") for number in range(5))
        session.execute(update(Effect).values(created_at=func.now() - func.make_interval(0, 2)))
        assert once(session, "new")
        enqueue(session, remove_old_effects)
        session.commit()
    counts = []
    while work(app):
        counts.append(effects(app))
    assert counts == [4, 2, 1]
    with app.app_context():
        assert session.scalar(select(func.count()).where(Job.status == QUEUED)) == 0
