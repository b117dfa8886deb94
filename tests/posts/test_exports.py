"""Exports: a job that writes a user's posts into a file, and where to fetch that."""

import csv
import io
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import func, update

from service.db import session
from service.outbox import Job, enqueue
from service.posts import jobs
from service.posts.models import PostExport
from service.storage import LocalFiles, Storage
from tests.people import NOBODYS, Person
from tests.working import job as job_of
from tests.working import work


@pytest.fixture
def files(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalFiles:
    """A folder of the test's own in the place of a bucket."""
    found = LocalFiles(tmp_path)
    monkeypatch.setitem(app.extensions, "files", found)
    return found


def write(person: Person, title: str, body: str = "A body.") -> None:
    assert person.post("/api/posts", json={"title": title, "body": body}).status_code == 201


def exported(person: Person, app: Flask) -> dict[str, Any]:
    """The job of an export that has run."""
    asked = person.post("/api/posts/exports")
    assert asked.status_code == 202
    work(app)
    return person.get(asked.headers["Location"]).get_json()


def download(person: Person, job: dict[str, Any]) -> bytes:
    with person.get(job["result"]["url"]) as response:
        assert response.headers["Content-Disposition"] == "attachment; filename=posts.csv"
        return response.data


def rows(raw: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(raw.decode())))


def test_who_asks_is_told_where_to_look(alice: Person, app: Flask, files: LocalFiles) -> None:
    asked = alice.post("/api/posts/exports")
    job = asked.get_json()
    assert asked.headers["Location"] == f"/api/jobs/{job['id']}"
    assert job == alice.get(asked.headers["Location"]).get_json()
    assert (job["status"], job["result"], job["error"]) == ("queued", None, None)


def test_the_file_has_the_own_posts_the_oldest_first(
    alice: Person, bob: Person, app: Flask, files: LocalFiles
) -> None:
    write(alice, "one", 'with "quotes", commas\nand lines')
    write(bob, "not alice's")
    write(alice, "two")
    job = exported(alice, app)
    assert (job["status"], job["result"]["posts"]) == ("succeeded", 2)
    head, *found = rows(download(alice, job))
    assert head == ["id", "title", "body", "created_at", "updated_at"]
    assert [row[1:3] for row in found] == [
        ["one", 'with "quotes", commas\nand lines'],
        ["two", "A body."],
    ]


def test_nothing_in_it_is_a_formula(alice: Person, app: Flask, files: LocalFiles) -> None:
    for title in ("=1+1", "+1", "-1", "@a", "1-1"):
        write(alice, title)
    job = exported(alice, app)
    titles = [row[1] for row in rows(download(alice, job))[1:]]
    assert titles == ["'=1+1", "'+1", "'-1", "'@a", "1-1"]


def test_pages_are_put_together(
    alice: Person, app: Flask, files: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "PAGE", 2)
    for number in range(5):
        write(alice, str(number))
    job = exported(alice, app)
    assert [row[1] for row in rows(download(alice, job))[1:]] == list("01234")
    assert job["progress"] == 100


def test_who_has_no_posts_gets_an_empty_file(alice: Person, app: Flask, files: LocalFiles) -> None:
    job = exported(alice, app)
    assert len(rows(download(alice, job))) == 1


def test_an_export_is_its_owners_alone(
    alice: Person, bob: Person, app: Flask, files: LocalFiles
) -> None:
    job = exported(alice, app)
    assert bob.get(job["result"]["url"]).status_code == 404
    assert alice.client.get(job["result"]["url"]).status_code == 401
    assert alice.get(f"/api/posts/exports/{NOBODYS}").status_code == 404


def test_an_export_that_has_not_ended_has_no_file(
    alice: Person, app: Flask, files: LocalFiles
) -> None:
    id = UUID(alice.post("/api/posts/exports").get_json()["id"])
    assert alice.get(f"/api/posts/exports/{id}").status_code == 404


def test_without_a_bucket_there_are_no_exports(
    alice: Person, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.extensions, "files", None)
    answer = alice.post("/api/posts/exports")
    assert (answer.status_code, answer.get_json()["detail"]) == (503, "exports are not configured")


def grow_old(app: Flask, **changes: Any) -> None:
    with app.app_context():
        session.execute(update(PostExport).values(changes))
        session.commit()


def clean_up(app: Flask) -> None:
    with app.app_context():
        id = enqueue(session, jobs.remove_old_exports)
        session.commit()
    work(app)
    assert job_of(app, id).status == "succeeded"


EIGHT_DAYS = timedelta(days=8)


def test_an_old_file_is_removed(alice: Person, app: Flask, files: LocalFiles) -> None:
    job = exported(alice, app)
    path = files.path(f"exports/{job['id']}.csv")
    clean_up(app)
    assert path.exists()
    grow_old(app, created_at=func.now() - EIGHT_DAYS)
    clean_up(app)
    assert not path.exists()
    assert alice.get(job["result"]["url"]).status_code == 404


def test_the_file_of_an_account_that_is_gone_is_removed(
    alice: Person, bob: Person, app: Flask, files: LocalFiles
) -> None:
    gone, stays = (files.path(f"exports/{exported(p, app)['id']}.csv") for p in (alice, bob))
    assert alice.delete("/api/users/me").status_code == 204
    clean_up(app)
    assert (gone.exists(), stays.exists()) == (False, True)


def test_an_export_that_still_waits_is_not_removed(
    alice: Person, app: Flask, files: LocalFiles
) -> None:
    id = UUID(alice.post("/api/posts/exports").get_json()["id"])
    with app.app_context():
        session.execute(update(Job).values(status="retrying"))
        session.commit()
    grow_old(app, created_at=func.now() - EIGHT_DAYS)
    clean_up(app)
    with app.app_context():
        assert session.get(PostExport, id) is not None


def test_a_file_is_removed_from_the_bucket(alice: Person, app: Flask, real_bucket: Storage) -> None:
    job = exported(alice, app)
    link = alice.get(job["result"]["url"]).headers["Location"]
    grow_old(app, created_at=func.now() - EIGHT_DAYS)
    clean_up(app)
    with pytest.raises(HTTPError, match="404"):
        urlopen(link)
    real_bucket.delete(f"exports/{job['id']}.csv")  # what is not there is removed


def test_with_a_bucket_the_file_lies_there(alice: Person, app: Flask, real_bucket: Storage) -> None:
    write(alice, "in the bucket")
    job = exported(alice, app)
    link = alice.get(job["result"]["url"])
    assert (link.status_code, job["status"]) == (302, "succeeded")
    with urlopen(link.headers["Location"]) as answer:
        assert rows(answer.read())[1][1] == "in the bucket"
        assert "posts.csv" in answer.headers["Content-Disposition"]


def test_a_bucket_that_refuses_the_file_fails_the_attempt(
    alice: Person, app: Flask, real_bucket: Storage
) -> None:
    real_bucket._secret = "wrong"
    assert exported(alice, app)["status"] == "retrying"
