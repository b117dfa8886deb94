"""The edge: request ids, the headers that every response carries, addresses, health paths."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from service.app import create_app
from service.edge import CONTENT_SECURITY_POLICY, Edge
from service.settings import Settings
from tests import things
from tests.conftest import make_settings

NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"
NO_REDIS = "redis://127.0.0.1:1/0"
MADE = re.compile(r"[0-9a-f]{32}")

SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def settings_of(**changes: Any) -> Settings:
    changes = {"log_format": "console", "database_connect_retries": 0} | changes
    return make_settings(NO_DATABASE, NO_REDIS, **changes)


@pytest.fixture(scope="module")
def broken() -> Flask:
    """An app with a route that fails, and neither database nor Redis."""
    app = create_app(settings_of(max_content_length=10))
    things.register(app)

    @app.get("/fails")
    def fails() -> None:
        raise RuntimeError("a secret detail")

    return app


@pytest.fixture
def client(broken: Flask) -> FlaskClient:
    return broken.test_client()


@pytest.mark.parametrize(
    "id", ["x", "x" * 128, "0-9a-f", "a.b:c=d+e/f@g_h", "Root=1-67891233-abcdef012345678912345678"]
)
def test_a_sane_request_id_is_kept(client: FlaskClient, id: str) -> None:
    assert client.get("/", headers={"X-Request-ID": id}).headers["X-Request-ID"] == id


@pytest.mark.parametrize(
    "id",
    [
        "",
        " ",
        "two words",
        "x" * 129,
        "a\nb",
        "a\r\nSet-Cookie: b",
        "a\n",
        "\0",
        "\x1b[2J",
        "é",
        "<b>",
    ],
)
def test_any_other_request_id_is_replaced(client: FlaskClient, id: str) -> None:
    response = client.get("/", environ_overrides={"HTTP_X_REQUEST_ID": id})
    assert MADE.fullmatch(response.headers["X-Request-ID"])


def test_each_request_without_an_id_gets_its_own(client: FlaskClient) -> None:
    ids = {client.get("/health/live").headers["X-Request-ID"] for _ in range(20)}
    assert len(ids) == 20
    assert all(map(MADE.fullmatch, ids))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("OPTIONS", "/things", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/docs/docs.js", 200),
        ("GET", "/metrics", 200),
        ("GET", "/health/live", 200),
        ("GET", "/health/ready", 503),
        ("GET", "/health", 503),
        ("GET", "/health/none", 404),
        ("GET", "/none", 404),
        ("GET", "/%00", 404),
        ("DELETE", "/", 405),
        ("BREW", "/", 405),
        ("GET", "/api/users/me", 401),
        ("POST", "/things", 401),
        ("POST", "/api/users", 415),
        ("GET", "/things?page=2", 422),
        ("GET", "/things", 503),
        ("GET", "/fails", 500),
    ],
)
def test_every_response_carries_the_headers(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    with client.open(path, method=method) as response:
        assert response.status_code == status
        assert {name: response.headers.get(name) for name in SECURITY} == SECURITY
        assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
        assert MADE.fullmatch(response.headers["X-Request-ID"])
        assert [*response.headers.keys()] == [*dict(response.headers)]  # none of them twice


def test_a_body_that_is_too_large_is_refused_with_the_headers(client: FlaskClient) -> None:
    response = client.post("/api/users", json={"email": "x" * 100})
    assert (response.status_code, response.headers["X-Frame-Options"]) == (413, "DENY")


def test_an_unexpected_error_tells_the_request_id_and_no_more(client: FlaskClient) -> None:
    response = client.get("/fails", headers={"X-Request-ID": "mine"})
    assert response.get_json()["request_id"] == response.headers["X-Request-ID"] == "mine"
    assert "secret" not in response.text
    assert "RuntimeError" not in response.text


@pytest.mark.parametrize(
    ("app_env", "hops", "scheme", "forwarded", "expected"),
    [
        ("production", 0, "http", None, False),
        ("production", 0, "http", "https", False),
        ("production", 0, "https", None, True),
        ("production", 1, "http", None, False),
        ("production", 1, "http", "http", False),
        ("production", 1, "http", "https", True),
        ("production", 1, "http", "https,http", False),
        ("production", 2, "http", "https", True),  # the usual: each proxy writes it anew
        ("production", 2, "http", "https, http", True),
        ("production", 2, "http", "https, http, http", False),
        ("production", 1, "https", None, True),
        ("staging", 1, "http", "https", True),
        ("development", 1, "http", "https", False),
        ("test", 1, "http", "https", False),
    ],
)
def test_https_is_insisted_on_in_production_where_it_is_known(
    app_env: str, hops: int, scheme: str, forwarded: str | None, expected: bool
) -> None:
    app = create_app(settings_of(app_env=app_env, proxy_hops=hops))
    headers = {"X-Forwarded-Proto": forwarded} if forwarded else {}
    response = app.test_client().get("/openapi.json", base_url=f"{scheme}://h", headers=headers)
    assert ("Strict-Transport-Security" in response.headers) == expected


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", ""),
    ],
)
def test_an_ipv4_client_of_a_socket_for_both_has_its_ipv4_address(address: str, seen: str) -> None:
    addresses = []

    def app(environ: dict[str, Any], respond: Any) -> Iterator[bytes]:
        addresses.append(environ["REMOTE_ADDR"])
        respond("204 No Content", [])
        return iter(())

    environ = {"REMOTE_ADDR": address, "PATH_INFO": "/", "REQUEST_METHOD": "GET"}
    environ["wsgi.url_scheme"] = "http"
    Edge(app, settings_of())(environ, lambda *_: None)
    assert addresses == [seen]


@pytest.mark.parametrize("path", ["/health/live", "/health/live/", "/health"])
@pytest.mark.parametrize(
    "host", ["localhost", "10.0.0.1:8000", "[::1]:8000", "any.name", "under_score", "", "a b"]
)
def test_health_paths_take_any_host_and_never_redirect(path: str, host: str) -> None:
    app = create_app(settings_of(app_env="production", proxy_hops=1))
    response = app.test_client().get(path, headers={"Host": host})
    assert response.status_code == {"/health": 503}.get(path, 200)
    assert "Location" not in response.headers


def test_health_paths_are_not_limited() -> None:
    app = create_app(settings_of(rate_limit_default="1 per hour", rate_limit_login="1 per hour"))
    client = app.test_client()
    answers = [client.get("/health/live") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert all("RateLimit-Limit" not in answer.headers for answer in answers)


def test_health_paths_are_not_to_be_cached(client: FlaskClient) -> None:
    for path in ("/health", "/health/live", "/health/ready"):
        assert client.get(path).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("changes", "told", "path", "status"),
    [
        ({}, "http", "/api/users/me?a=b%20c", 308),
        ({"app_env": "staging"}, "http", "/nothing", 308),
        ({}, "https", "/nothing", 404),
        ({}, None, "/nothing", 404),  # nobody says: a caller inside
        ({"proxy_hops": 0}, "http", "/nothing", 404),  # nobody is believed
        ({}, "http", "/health/live", 200),
        ({"https_only": False}, "http", "/nothing", 404),
        ({"app_env": "development"}, "http", "/nothing", 404),
    ],
)
def test_nothing_is_served_in_the_clear_where_a_proxy_says_so(
    changes: dict[str, Any], told: str | None, path: str, status: int
) -> None:
    changes = {"app_env": "production", "proxy_hops": 1} | changes
    client = create_app(settings_of(**changes)).test_client()
    headers = {"Host": "api.example.com"} | ({"X-Forwarded-Proto": told} if told else {})
    answer = (
        client.post(path, headers=headers) if status == 308 else client.get(path, headers=headers)
    )
    assert answer.status_code == status
    if status == 308:
        assert answer.headers["Location"] == f"https://api.example.com{path}"
        assert answer.headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("sent", "location"),
    [
        ("/a?q=%E2%82%AC&b=c%20d", "https://api.example.com/a?q=%E2%82%AC&b=c%20d"),
        ("/a%252Fb", "https://api.example.com/a%252Fb"),
        ("/%C3%A9", "https://api.example.com/%C3%A9"),
        ("/\u00e9", "https://api.example.com/%E9"),
        ("//evil.example/a", "https://api.example.com//evil.example/a"),
        ("http://other.example/a?b", "https://api.example.com/a?b"),
    ],
)
def test_a_redirect_to_https_keeps_what_was_asked_for(sent: str, location: str) -> None:
    client = create_app(settings_of(app_env="production", proxy_hops=1)).test_client()
    headers = {"Host": "api.example.com", "X-Forwarded-Proto": "http"}
    answer = client.get("/", headers=headers, environ_overrides={"RAW_URI": sent})
    assert (answer.status_code, answer.headers["Location"]) == (308, location)


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("api.example.com:80", "api.example.com"),
        ("api.example.com:8080", "api.example.com:8080"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("[2001:db8::1]:80", "[2001:db8::1]"),
        ("bad host", None),
        ("evil.example/a", None),
        ("", None),
    ],
)
def test_a_redirect_to_https_needs_a_host(host: str, found: str | None) -> None:
    client = create_app(settings_of(app_env="production", proxy_hops=1)).test_client()
    environ = {"HTTP_HOST": host, "HTTP_X_FORWARDED_PROTO": "http", "RAW_URI": "/a"}
    answer = client.get("/", environ_overrides=environ)
    if found is None:
        assert answer.status_code == 400
        assert answer.json["detail"] == "The Host header is not valid."
    else:
        assert answer.headers["Location"] == f"https://{found}/a"
