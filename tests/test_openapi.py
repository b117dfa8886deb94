"""The OpenAPI document, valid and whole, and its page, which loads nothing from outside."""

from html.parser import HTMLParser
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from service import edge


@pytest.fixture
def document(charlie: FlaskClient) -> dict[str, Any]:
    response = charlie.get("/openapi.json")
    assert (response.status_code, response.mimetype) == (200, "application/json")
    return response.get_json()


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert [*OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_the_validator_sees_a_mistake(document: dict[str, Any]) -> None:
    del document["paths"]["/api/users/me"]["get"]["responses"]["200"]["description"]
    assert [*OpenAPIV31SpecValidator(document).iter_errors()] != []


def test_every_route_of_the_api_is_in_the_document(app: Flask, document: dict[str, Any]) -> None:
    routes = {
        (method.lower(), rule.rule.replace("<uuid:", "{").replace(">", "}"))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/")
    }
    assert set(operations(document)) == routes


def test_every_operation_has_a_name_of_its_own_and_a_summary(document: dict[str, Any]) -> None:
    found = operations(document).values()
    assert len({operation["operationId"] for operation in found}) == len(found)
    assert all(operation["summary"] and operation["tags"] for operation in found)


def test_every_operation_says_what_can_go_wrong(document: dict[str, Any]) -> None:
    for (method, path), operation in operations(document).items():
        expected = {"429", "503"}
        expected |= {"400", "413", "415", "422"} if "requestBody" in operation else set()
        expected |= {"401"} if "security" in operation else set()
        expected |= {"400", "409", "413", "422"} if idempotent(operation) else set()
        expected |= {"404"} if "{" in path else set()
        assert expected <= set(operation["responses"]), (method, path)
        problems = {k: v for k, v in operation["responses"].items() if k >= "400"}
        assert all([*each["content"]] == ["application/problem+json"] for each in problems.values())


def idempotent(operation: dict[str, Any]) -> bool:
    return "Idempotency-Key" in [each["name"] for each in operation.get("parameters", ())]


def test_a_post_of_who_is_signed_in_takes_an_idempotency_key(document: dict[str, Any]) -> None:
    for (method, path), operation in operations(document).items():
        assert idempotent(operation) == (method == "post" and "security" in operation), path


class Addresses(HTMLParser):
    """Collects what a page loads and links to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("src", "href") and value]


def test_the_documentation_is_made_of_files_of_our_own(charlie: FlaskClient) -> None:
    page = charlie.get("/docs")
    addresses = Addresses()
    addresses.feed(page.text)
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert "://" not in page.text
    assert len(addresses.found) >= 4
    for address in addresses.found:
        assert address.startswith("/docs/")
        with charlie.get(address) as file:
            assert file.status_code == 200, address


def test_the_policy_of_the_documentation_allows_no_outside_address(charlie: FlaskClient) -> None:
    policy = charlie.get("/docs").headers["Content-Security-Policy"]
    directives = dict(each.split(" ", 1) for each in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == "'self'"
    sources = {source for each in directives.values() for source in each.split()}
    assert sources <= {"'none'", "'self'", "'unsafe-inline'", "data:"}
    assert charlie.get("/").headers["Content-Security-Policy"] == edge.CONTENT_SECURITY_POLICY


@pytest.mark.parametrize(
    "name",
    [
        "none.js",
        "oauth2-redirect.html",
        "docs.html",
        "../settings.py",
        "..%2fsettings.py",
        "%2e%2e/__init__.py",
        "/etc/passwd",
        "%00",
        "docs.js%00",
        "..%5c__init__.py",
        "x" * 5000,
    ],
)
def test_the_documentation_serves_no_other_file(charlie: FlaskClient, name: str) -> None:
    response = charlie.get(f"/docs/{name}")
    assert (response.status_code, response.mimetype) == (404, "application/problem+json")
