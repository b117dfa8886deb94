"""The page at `/docs`: Swagger UI in Chromium."""

import pytest

from service.users.demo import EMAIL, PASSWORD
from tests.browser.browser import Browser
from tests.serving import Served


@pytest.fixture(scope="module")
def page(browser: Browser, served: Served) -> Browser:
    """The page, once it has read the document."""
    browser.open(f"{served.url}/docs")
    browser.wait_for("/api/users/me")
    return browser


def test_every_operation_of_the_document_is_shown(page: Browser, served: Served) -> None:
    paths = served.request("GET", "/openapi.json").json()["paths"]
    operations = [(path, method, paths[path][method]) for path in paths for method in paths[path]]
    expected = {f"{method.upper()} {path} {each['summary']}" for path, method, each in operations}
    shown = page.run(
        "return [...document.querySelectorAll('.opblock-summary-control')].map(e => e.innerText)"
    )
    assert {" ".join(each.replace("\u200b", "").split()) for each in shown} == expected
    assert {tag for *_, each in operations for tag in each["tags"]} <= set(page.text().split())


def test_nothing_is_refused_by_its_policy_and_nobody_else_is_asked(
    page: Browser, served: Served
) -> None:
    assert page.complaints() == []
    assert page.hosts() == {f"127.0.0.1:{served.port}"}


def test_a_route_is_tried_out_with_a_token(page: Browser, served: Served) -> None:
    body = {"email": EMAIL, "password": PASSWORD}
    token = served.request("POST", "/api/auth/login", body).json()["access_token"]
    page.click("button", "Authorize")
    page.type("auth-bearer-value", token)
    page.click("button", "Apply credentials", ".modal-ux")
    page.click("button", "Close", ".modal-ux")
    page.click("button", "GET /api /users /me Your account")
    page.wait_for("Execute")
    page.click("button", "Execute", ".execute-wrapper")
    page.wait_for("Response headers", ".live-responses-table .response")
    shown = page.text(".live-responses-table .response")
    assert shown.startswith("200")
    assert f'"email": "{EMAIL}"' in shown
