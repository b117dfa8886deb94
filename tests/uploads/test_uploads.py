"""Uploads: the form and the URL of the API, and what a real S3 server makes of them."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient

from service.storage import Storage
from tests.people import NOBODYS, Person
from tests.seaweed import BUCKET, SECRET

FILE = b"hello"
UPLOAD = {"filename": "grüße.txt", "content_type": "text/plain", "size": len(FILE)}
OTHER_KEY = f"uploads/{NOBODYS}/{NOBODYS}"

Answer = tuple[int, Mapping[str, str], bytes]


def ask_for_form(person: Person, **changes: object) -> dict[str, Any]:
    response = person.post("/api/uploads", json=UPLOAD | changes)
    assert response.status_code == 201
    return response.get_json()


def send(url: str, fields: Mapping[str, str], file: bytes) -> int:
    """Post a form as a browser does, and return the status."""
    boundary = uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="'
    parts = [f'{head}{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    parts.append(f'{head}file"; filename="x"\r\nContent-Type: application/x-other\r\n\r\n')
    body = "".join(parts).encode() + file + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return fetch(Request(url, body, headers))[0]


def fetch(request: Request | str) -> Answer:
    try:
        with urlopen(request) as response:
            return response.status, response.headers, response.read()
    except HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_who_asks_gets_a_form_for_one_file(alice: Person, bucket: Storage) -> None:
    response = alice.post("/api/uploads", json=UPLOAD)
    upload = response.get_json()
    assert set(upload) == {"id", "upload_url", "fields", "expires_in"}
    assert response.headers["Location"] == f"/api/uploads/{upload['id']}"
    assert (UUID(upload["id"]).version, upload["expires_in"]) == (7, 900)
    assert upload["upload_url"] == f"https://s3.example.com/{BUCKET}/"
    assert upload["fields"]["key"] == f"uploads/{alice.id}/{upload['id']}"
    assert upload["fields"]["Content-Type"] == "text/plain"


def test_the_owner_is_sent_on_to_a_signed_url(alice: Person, bucket: Storage) -> None:
    upload = ask_for_form(alice)
    response = alice.get(f"/api/uploads/{upload['id']}")
    url = urlsplit(response.headers["Location"])
    assert (response.status_code, response.data) == (302, b"")
    assert url.path == f"/{BUCKET}/{upload['fields']['key']}"
    assert parse_qs(url.query)["X-Amz-Expires"] == ["900"]


def test_the_secret_is_in_no_answer(alice: Person, bucket: Storage) -> None:
    answer = alice.post("/api/uploads", json=UPLOAD)
    url = alice.get(answer.headers["Location"]).headers["Location"]
    assert SECRET not in answer.text + url


def test_an_upload_is_its_owners_alone(
    alice: Person, bob: Person, charlie: FlaskClient, bucket: Storage
) -> None:
    path = f"/api/uploads/{ask_for_form(alice)['id']}"
    assert [who.get(path).status_code for who in (alice, bob, charlie)] == [302, 404, 401]
    assert charlie.post("/api/uploads", json=UPLOAD).status_code == 401


@pytest.mark.parametrize("id", [NOBODYS, "1", "%00"])
def test_an_upload_that_is_not_there_is_not_found(alice: Person, bucket: Storage, id: str) -> None:
    assert alice.get(f"/api/uploads/{id}").status_code == 404


def test_without_a_bucket_there_are_no_uploads(alice: Person) -> None:
    response = alice.post("/api/uploads", json=UPLOAD)
    assert (response.status_code, response.mimetype) == (503, "application/problem+json")
    assert response.get_json()["detail"] == "uploads are not configured"
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"filename": ""}, "filename"),
        ({"filename": "x" * 256}, "filename"),
        ({"filename": "../../etc/passwd"}, "filename"),
        ({"filename": "..\\boot.ini"}, "filename"),
        ({"filename": "a\0b"}, "filename"),
        ({"filename": "a\r\nb"}, "filename"),
        ({"filename": 1}, "filename"),
        ({"content_type": "text"}, "content_type"),
        ({"content_type": "text/html; charset=utf-8"}, "content_type"),
        ({"content_type": "text/plain\n"}, "content_type"),
        ({"content_type": "text/" + "x" * 96}, "content_type"),
        ({"size": 0}, "size"),
        ({"size": -1}, "size"),
        ({"size": 1.5}, "size"),
        ({"size": "5"}, "size"),
        ({"size": True}, "size"),
        ({"size": 100 * 1024 * 1024 + 1}, "size"),
        ({"key": "uploads/mine"}, "key"),
    ],
)
def test_an_upload_that_is_not_valid_is_refused(
    alice: Person, bucket: Storage, changes: dict[str, object], field: str
) -> None:
    response = alice.post("/api/uploads", json=UPLOAD | changes)
    assert response.status_code == 422
    assert [error["field"] for error in response.get_json()["errors"]] == [field]


def test_a_file_that_was_sent_is_fetched_under_its_name(
    alice: Person, real_bucket: Storage
) -> None:
    upload = ask_for_form(alice)
    assert send(upload["upload_url"], upload["fields"], FILE) == 204
    url = alice.get(f"/api/uploads/{upload['id']}").headers["Location"]
    status, headers, body = fetch(url)
    assert (status, body) == (200, FILE)
    assert headers["Content-Type"] == "text/plain"
    assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''gr%C3%BC%C3%9Fe.txt"


@pytest.mark.parametrize(
    ("changes", "file"),
    [
        ({"Content-Type": "text/html"}, FILE),
        ({"Content-Type": ""}, FILE),
        ({"key": OTHER_KEY}, FILE),
        ({"x-amz-signature": "0" * 64}, FILE),
        ({"x-amz-date": "20200101T000000Z"}, FILE),
        ({"policy": ""}, FILE),
        ({"x-amz-meta-more": "a field that was not signed"}, FILE),
        ({}, FILE + b"!"),
        ({}, FILE[:-1]),
        ({}, b""),
    ],
)
def test_the_server_refuses_what_the_form_does_not_allow(
    alice: Person, real_bucket: Storage, changes: dict[str, str], file: bytes
) -> None:
    upload = ask_for_form(alice)
    assert send(upload["upload_url"], upload["fields"] | changes, file) in (400, 403)
    assert fetch(alice.get(f"/api/uploads/{upload['id']}").headers["Location"])[0] == 404
    assert send(upload["upload_url"], upload["fields"], FILE) == 204


@pytest.mark.parametrize(("minutes", "status"), [(14, 204), (16, 403)])
def test_a_form_lives_for_its_time(real_bucket: Storage, minutes: int, status: int) -> None:
    made_at = datetime.now(UTC) - timedelta(minutes=minutes)
    form = real_bucket.upload_form(
        OTHER_KEY, "text/plain", len(FILE), timedelta(minutes=15), made_at
    )
    assert send(form.url, form.fields, FILE) == status


@pytest.mark.parametrize(
    ("forge", "status"),
    [
        (lambda url: url, 200),
        (lambda url: url.partition("?")[0], 403),
        (lambda url: url[:-1] + ("0" if url[-1] != "0" else "1"), 403),
        (lambda url: url.replace("Expires=900", "Expires=9000"), 403),
        (lambda url: url.replace("grOK", "evil"), 403),
        (lambda url: url.replace("/uploads/", "/uploads/x"), 403),
    ],
)
def test_the_server_refuses_a_url_that_was_changed(
    alice: Person, real_bucket: Storage, forge: Callable[[str], str], status: int
) -> None:
    upload = ask_for_form(alice, filename="grOK.txt")
    send(upload["upload_url"], upload["fields"], FILE)
    url = alice.get(f"/api/uploads/{upload['id']}").headers["Location"]
    assert fetch(forge(url))[0] == status


@pytest.mark.parametrize(("minutes", "status"), [(14, 200), (16, 403)])
def test_a_url_lives_for_its_time(
    alice: Person, real_bucket: Storage, minutes: int, status: int
) -> None:
    upload = ask_for_form(alice)
    send(upload["upload_url"], upload["fields"], FILE)
    made_at = datetime.now(UTC) - timedelta(minutes=minutes)
    key, lifetime = upload["fields"]["key"], timedelta(minutes=15)
    assert fetch(real_bucket.download_url(key, "x", lifetime, made_at))[0] == status
