"""Problems: every error is `application/problem+json`, and tells no more than it may."""

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.test import TestResponse

from service.app import create_app
from service.errors import BadRequest, Conflict, Forbidden, NotFound, Unavailable
from service.settings import Settings
from tests.counted import counting, empty

SECRET = "hunter2"
FIELDS = {"type", "title", "status", "detail", "instance", "request_id"}

# What a view may raise: (exception, status, detail), detail None where it is opaque.
RAISED = {
    "bug": (RuntimeError(SECRET), 500, "An unexpected error"),
    "key": (KeyError(SECRET), 500, "An unexpected error"),
    "refused": (OperationalError("SELECT", {}, Exception(SECRET)), 503, "database"),
    "interface": (InterfaceError("SELECT", {}, Exception(SECRET)), 503, "database"),
    "pool": (PoolTimeoutError(SECRET), 503, "database"),
    "race": (IntegrityError("INSERT", {}, Exception(SECRET)), 409, "conflicts"),
    "known": (BadRequest("No."), 400, "No."),
    "forbidden": (Forbidden("Not yours."), 403, "Not yours."),
    "gone": (NotFound("No such thing."), 404, "No such thing."),
    "conflict": (Conflict("Taken.", headers={"Retry-After": "1"}), 409, "Taken."),
    "down": (Unavailable("Uploads are not configured.", 60), 503, "not configured"),
    "surrogate": (RuntimeError("\ud800"), 500, "An unexpected error"),
}


@pytest.fixture(scope="module")
def wrong(settings: Settings) -> FlaskClient:
    """An app whose views raise, with a limit of two requests."""
    strict = {"rate_limit_default": "2 per hour", "max_content_length": 10}
    app = create_app(Settings.model_validate(settings.model_dump() | strict))

    @app.get("/raise/<name>")
    def fail(name: str) -> Response:
        raise RAISED[name][0]

    empty(app)
    return counting(app)


def problem(response: TestResponse, status: int) -> dict[str, object]:
    """The body, after what holds for every problem."""
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    body = response.get_json()
    assert set(body) >= FIELDS
    assert body["status"] == status
    assert body["type"] == "about:blank"
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    return dict(body)


@pytest.mark.parametrize("name", RAISED)
def test_what_a_view_raises_becomes_a_problem_without_its_text(
    wrong: FlaskClient, name: str
) -> None:
    _, status, detail = RAISED[name]
    response = wrong.get(f"/raise/{name}")
    body = problem(response, status)
    assert detail in str(body["detail"])
    assert body["instance"] == f"/raise/{name}"
    assert SECRET not in response.text
    assert "Traceback" not in response.text


@pytest.mark.parametrize("name", ["refused", "pool", "down", "conflict"])
def test_what_may_work_later_says_when(wrong: FlaskClient, name: str) -> None:
    expected = {"refused": "5", "pool": "5", "down": "60", "conflict": "1"}[name]
    assert wrong.get(f"/raise/{name}").headers["Retry-After"] == expected


@pytest.mark.parametrize(
    ("method", "path", "body", "content_type", "status"),
    [
        ("GET", "/nothing", b"", "", 404),
        ("GET", "/things/no-uuid", b"", "", 404),
        ("GET", "/things/0199a0a0-0000-7000-8000-000000000000", b"", "", 404),
        ("GET", "/api/users/me", b"", "", 401),
        ("POST", "/api/auth/login", b"{", "application/json", 400),
        ("POST", "/api/auth/login", b"a=b", "application/x-www-form-urlencoded", 415),
        ("POST", "/api/auth/login", b"{}", "application/json", 422),
        ("GET", "/things?limit=x", b"", "", 422),
    ],
)
def test_a_request_that_is_not_right_is_a_problem(
    client: FlaskClient, method: str, path: str, body: bytes, content_type: str, status: int
) -> None:
    response = client.open(path, method=method, data=body, content_type=content_type)
    assert problem(response, status)["instance"] == path.partition("?")[0]


def test_another_method_is_told_which_there_are(client: FlaskClient) -> None:
    response = client.put("/things")
    problem(response, 405)
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_too_large_a_body_is_a_problem(wrong: FlaskClient) -> None:
    problem(wrong.post("/api/auth/login", json={"email": "long enough"}), 413)


def test_too_many_requests_are_told_when_to_come_back(wrong: FlaskClient) -> None:
    address = {"REMOTE_ADDR": "192.0.2.1"}
    statuses = [wrong.get("/api/nothing", environ_base=address).status_code for _ in range(2)]
    response = wrong.get("/api/nothing", environ_base=address)
    assert statuses == [404, 404]
    problem(response, 429)
    assert 0 < int(response.headers["Retry-After"]) <= 3600


def test_invalid_fields_are_named(client: FlaskClient) -> None:
    body = problem(client.post("/api/auth/login", json={"email": 1, "extra": 2}), 422)
    assert isinstance(body["errors"], list)
    assert {error["field"] for error in body["errors"]} == {"email", "password", "extra"}
    assert all(set(error) == {"field", "message"} for error in body["errors"])


def test_a_head_request_gets_the_status_and_no_body(client: FlaskClient) -> None:
    response = client.head("/nothing")
    assert (response.status_code, response.data) == (404, b"")


def test_a_request_after_an_error_is_answered(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/nothing").status_code == 404
    assert client.get("/things").status_code == 200
