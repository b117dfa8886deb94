"""CORS: the origins of FRONTEND_URL may call the API from a browser, and no others."""

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service.app import create_app
from service.devservers import Redis
from tests.conftest import make_settings
from tests.counted import counting, empty

NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"
ORIGIN = "https://app.example.com"
ORIGINS = f"{ORIGIN}, https://admin.example.com:8443"
NOWHERE = "/api/nowhere"
ALLOW, CREDENTIALS = "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"


@pytest.fixture
def client(redis_server: Redis) -> FlaskClient:
    """A client of an app with two front ends, which allows one request an hour."""
    rate = "1 per hour"
    app = create_app(
        make_settings(NO_DATABASE, redis_server.url, frontend_url=ORIGINS, rate_limit_default=rate)
    )
    empty(app)
    return counting(app)


def preflight(client: FlaskClient, path: str, origin: str = ORIGIN) -> TestResponse:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization, content-type, idempotency-key",
    }
    return client.options(path, headers=headers)


@pytest.mark.parametrize("origin", [ORIGIN, "https://admin.example.com:8443"])
def test_a_front_end_may_call_with_credentials(client: FlaskClient, origin: str) -> None:
    response = client.get(NOWHERE, headers={"Origin": origin})
    assert response.headers[ALLOW] == origin
    assert response.headers[CREDENTIALS] == "true"
    assert "Origin" in response.headers["Vary"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://evil.example?https://app.example.com",
        "https://appxexample.com",
        "https://x.app.example.com",
        "null",
        "*",
        "",
    ],
)
def test_no_other_origin_may(client: FlaskClient, origin: str) -> None:
    for response in (
        preflight(client, "/api/users/me", origin),
        client.get(NOWHERE, headers={"Origin": origin}),
    ):
        assert ALLOW not in response.headers
        assert CREDENTIALS not in response.headers


def test_every_answer_says_that_it_depends_on_the_origin(client: FlaskClient) -> None:
    for headers in ({}, {"Origin": "https://evil.example.com"}):
        assert "Origin" in client.get("/api/users/me", headers=headers).headers["Vary"]


def test_a_preflight_is_neither_limited_nor_asked_to_sign_in(client: FlaskClient) -> None:
    for _ in range(3):
        response = preflight(client, "/api/users/me")
        assert response.status_code == 200
        assert response.headers[ALLOW] == ORIGIN
        assert "PATCH" in response.headers["Access-Control-Allow-Methods"]
        allowed = response.headers["Access-Control-Allow-Headers"].lower()
        assert {"authorization", "content-type", "idempotency-key"} <= set(allowed.split(", "))
        assert response.headers["Access-Control-Max-Age"] == "600"
    assert client.get(NOWHERE).status_code == 404
    assert client.get(NOWHERE).status_code == 429


def test_a_front_end_can_read_what_went_wrong(client: FlaskClient) -> None:
    statuses = []
    for _ in range(2):
        response = client.get(NOWHERE, headers={"Origin": ORIGIN})
        statuses.append(response.status_code)
        assert response.headers[ALLOW] == ORIGIN
        exposed = set(response.headers["Access-Control-Expose-Headers"].split(", "))
        limits = {name for name in dict(response.headers) if name.startswith("RateLimit-")}
        assert len(limits) == 4
        # Names, not patterns: with credentials "*" means nothing there.
        assert limits | {"Location", "Retry-After", "X-Request-ID"} <= exposed
    assert statuses == [404, 429]


@pytest.mark.parametrize("path", ["/", "/openapi.json", "/health/live", "/metrics", "/docs"])
def test_only_the_api_is_shared(client: FlaskClient, path: str) -> None:
    assert ALLOW not in client.get(path, headers={"Origin": ORIGIN}).headers


def test_without_a_front_end_there_is_no_cors(redis_server: Redis) -> None:
    client = create_app(make_settings(NO_DATABASE, redis_server.url)).test_client()
    for response in (
        client.get(NOWHERE, headers={"Origin": ORIGIN}),
        preflight(client, "/api/users/me"),
    ):
        assert not [name for name in dict(response.headers) if name.startswith("Access-Control")]
