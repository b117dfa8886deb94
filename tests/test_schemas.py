"""What comes in: every body that is not what was asked for is told so, and none is a 500."""

import json

import pytest
from flask import Response
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service.app import create_app
from service.schemas import Body, Out, Query
from service.settings import Settings
from tests.people import Person
from tests.serving import Served

LIMIT = 1024 * 1024


class Thing(Body):
    name: str
    price: float = 0
    more: object = None


class Things(Query):
    limit: int = 10
    tag: str | None = None


class Said(Out):
    said: str


@pytest.fixture(scope="module")
def things(settings: Settings) -> FlaskClient:
    """An app with a route that takes a body, and one that takes a query."""
    changed = settings.model_copy(update={"max_content_length": LIMIT})
    app = create_app(changed)

    @app.post("/things")
    def create() -> Response:
        return Said.response({"said": Thing.read().name})

    @app.get("/things")
    def index() -> Response:
        return Said.response({"said": str(Things.read())})

    return app.test_client()


def send(client: FlaskClient, body: bytes, content_type: str = "application/json") -> TestResponse:
    return client.post("/things", data=body, content_type=content_type)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b'{"name": "a"}', 200, '{"said":"a"}'),
        ('{"name": "ä😀"}'.encode(), 200, "ä😀"),
        (rb'{"name": "\ud83d\ude00"}', 200, "😀"),
        (b"", 400, "not valid JSON"),
        (b"name=a", 400, "not valid JSON"),
        (b'{"name": "a"', 400, "not valid JSON"),
        (b'{"name": "a"} {}', 400, "Extra data"),
        (b"{'name': 'a'}", 400, "not valid JSON"),
        (b'{"name": "a",}', 400, "not valid JSON"),
        (b'{"name": "a\n"}', 400, "Invalid control character"),
        (b'{"name": "a\0"}', 400, "Invalid control character"),
        (b'{"name": "\xff"}', 400, "'utf-8' codec"),
        (b'{"name": "\xed\xa0\x80"}', 400, "'utf-8' codec"),
        (b'\xef\xbb\xbf{"name": "a"}', 400, "byte order mark"),
        ('{"name": "a"}'.encode("utf-16"), 400, "'utf-8' codec"),
        (r'{"name": "\ud800"}'.encode("utf-16-le"), 400, "not valid JSON"),
        (b'{"name": "a", "price": NaN}', 400, "NaN is no JSON"),
        (b'{"name": "a", "price": -Infinity}', 400, "-Infinity is no JSON"),
        (b'{"name": "a", "price": 1e999}', 422, '"price"'),
        (b'{"name": "a", "more": %s}' % (b"9" * 5000), 400, "digits"),
        (b'{"name": "a", "more": %s}' % (b"9" * 4000), 200, "a"),
        (b"[" * 30_000, 400, ""),
        (b'{"name": "a", "more": ' + b"[" * 400_000 + b"]" * 400_000 + b"}", 400, "too deeply"),
        (
            b'{"name": "a", "more": ' + b"[" * 2000 + rb'"\u0000"' + b"]" * 2000 + b"}",
            400,
            "too deeply",
        ),
        (b'"name"', 422, '"field":"body"'),
        (b"null", 422, '"field":"body"'),
        (b"[]", 422, '"field":"body"'),
        (b"{}", 422, '"field":"name"'),
        (b'{"name": 1}', 422, "valid string"),
        (b'{"name": "a", "nickname": "b"}', 422, '"field":"nickname"'),
        (b'{"name": "a", "name": "b"}', 422, '"field":"name","message":"is given twice"'),
        (b'{"name": "a", "more": [{"x": 1, "x": 1}]}', 422, '"field":"x"'),
        (rb'{"name": "a\u0000b"}', 422, '"field":"name","message":"holds a NUL'),
        (rb'{"name": "\ud800"}', 422, '"field":"name","message":"holds a NUL'),
        (rb'{"name": "\ude00\ud83d"}', 422, '"field":"name"'),
        (rb'{"name": "a", "more": [{"x": "\ud800"}]}', 422, '"field":"more.0.x"'),
        (rb'{"name": "a", "\u0000": 1}', 422, '"field":"body"'),
        (rb'{"\ud800": 1, "\ud800": 2}', 422, '"field":"?"'),
        (rb'{"\ud800": "\ud800"}', 422, '"field":"?"'),
    ],
)
def test_a_body_is_read_or_refused(
    things: FlaskClient, body: bytes, status: int, said: str
) -> None:
    response = send(things, body)
    assert (response.status_code, said in response.text) == (status, True), response.text
    json.loads(response.data)


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"]
)
def test_another_type_than_json_is_refused(things: FlaskClient, content_type: str) -> None:
    assert send(things, b'{"name": "a"}', content_type).status_code == 415
    assert send(things, b'{"name": "a"}', "Application/JSON; charset=utf-8").status_code == 200


def test_a_body_that_says_it_is_over_the_limit_is_refused(things: FlaskClient) -> None:
    body = b'{"name": "a"}'
    assert send(things, body + b" " * (LIMIT - len(body))).status_code == 200
    assert send(things, body + b" " * (LIMIT - len(body) + 1)).status_code == 413


def test_a_body_over_the_limit_that_comes_in_chunks_is_refused(
    settings: Settings,
) -> None:
    database, redis = settings.database_url, settings.redis_url
    with Served(
        database.get_secret_value(),
        redis.get_secret_value(),
        WEB_CONCURRENCY="1",
        MAX_CONTENT_LENGTH="65536",
    ) as web:
        valid, spaces = b"2\r\n{}\r\n", b"1000\r\n" + b" " * 0x1000 + b"\r\n"
        headers = {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}
        small = web.request("POST", "/api/auth/login", valid + spaces + b"0\r\n\r\n", headers)
        large = web.request("POST", "/api/auth/login", valid + spaces * 16 + b"0\r\n\r\n", headers)
    assert (small.status, large.status) == (422, 413)
    assert large.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=many", "limit"),
        ("limit=1&limit=2", "limit"),
        ("size=1", "size"),
        ("limit=" + "9" * 5000, "limit"),
        ("=", ""),
    ],
)
def test_a_query_that_is_not_what_was_asked_for_is_refused(
    things: FlaskClient, query: str, field: str
) -> None:
    response = things.get(f"/things?{query}")
    assert response.status_code == 422
    assert [error["field"] for error in response.get_json()["errors"]] == [field or "body"]


@pytest.mark.parametrize("query", ["", "limit=5", "tag=%00", "tag=%ff", "tag=%ed%a0%80"])
def test_a_query_of_odd_bytes_is_text_all_the_same(things: FlaskClient, query: str) -> None:
    assert things.get(f"/things?{query}").status_code == 200


@pytest.mark.parametrize("path", ["/api/users", "/things"])
@pytest.mark.parametrize("text", ["\\u0000", "\\ud800", "\\udc00x"])
def test_text_that_the_database_cannot_hold_never_reaches_it(
    alice: Person, path: str, text: str
) -> None:
    body = '{"name": "T", "email": "T@example.com", "password": "long enough T"}'
    raw = body.replace("T", text).encode()
    response = alice.post(path, data=raw, content_type="application/json")
    assert response.status_code == 422
