"""The page at `/`: where it exists, and what it may load. What it shows: tests/browser."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from service.app import create_app
from service.environment import project
from service.home import PAGES
from service.settings import Settings
from service.users.demo import EMAIL, PASSWORD

FILES = {
    "/home.css": "css",
    "/home.js": "javascript",
    "/home.svg": "svg+xml",
    "/words.js": "javascript",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def client_in(settings: Settings, environment: str) -> FlaskClient:
    return create_app(settings.model_copy(update={"app_env": environment})).test_client()


@pytest.fixture
def developer(settings: Settings) -> FlaskClient:
    return client_in(settings, "development")


def test_in_development_it_is_a_page_with_a_policy_of_its_own(developer: FlaskClient) -> None:
    response = developer.get("/", buffered=True)
    assert (response.status_code, response.mimetype) == (200, "text/html")
    assert response.headers.getlist("Content-Security-Policy") == [POLICY]


@pytest.mark.parametrize(("path", "kind"), FILES.items())
def test_its_files_are_served_to_be_asked_for_again(
    developer: FlaskClient, path: str, kind: str
) -> None:
    response = developer.get(path, buffered=True)
    assert response.status_code == 200
    assert response.headers["Content-Type"].split(";")[0].endswith(f"/{kind}")
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.data == (PAGES / path[1:]).read_bytes()


def test_it_gets_the_demo_sign_in_from_the_server(developer: FlaskClient) -> None:
    name, version = project()
    assert developer.get("/home.json").get_json() == {
        "name": name,
        "version": version,
        "commit": "unknown",
        "demo": {"email": EMAIL, "password": PASSWORD},
    }


@pytest.mark.parametrize("environment", ["production", "staging", "test"])
def test_elsewhere_there_is_a_name_a_version_and_no_page(
    settings: Settings, environment: str
) -> None:
    client = client_in(settings, environment)
    name, _ = project()
    assert client.get("/").get_json() == {"name": name, "version": "unknown", "docs": "/docs"}
    assert PASSWORD not in client.get("/").text
    for path in (*FILES, "/home.json", "/home.html", "/home.py"):
        assert client.get(path).status_code == 404


class Page(HTMLParser):
    """What of a page the policy would refuse, and what it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.refused: list[str] = []
        self.references: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names: dict[str, Any] = dict(attrs)
        self.references += [names[name] for name in ("src", "href") if name in names]
        if tag == "style" or (tag == "script" and "src" not in names):
            self.refused.append(tag)
        self.refused += [name for name in names if name == "style" or name.startswith("on")]


def test_it_holds_no_inline_script_or_style(developer: FlaskClient) -> None:
    page = Page(developer.get("/", buffered=True).text)
    assert page.refused == []
    assert {"/home.css", "/home.js", "/home.svg"} < set(page.references)


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("<script>alert()</script>", "script"),
        ("<style>p {}</style>", "style"),
        ("<p style='color: red'>", "style"),
        ("<p onclick='alert()'>", "onclick"),
    ],
)
def test_an_inline_script_or_style_would_be_seen(text: str, refused: str) -> None:
    assert Page(text).refused == [refused]


def outside(text: str) -> list[str]:
    """The addresses of other hosts in a text; a namespace is a name, which nobody asks, and a
    library's first line says where it is from."""
    rest = re.sub(r"\A/\*!.*\*/\n", "", text.replace(NAMESPACE, ""))
    return re.findall(r"""\w+://[^\s"']+|["'(=]//[^\s"']+""", rest)


NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'


@pytest.mark.parametrize("path", sorted(PAGES.glob("*")), ids=lambda path: path.name)
def test_it_names_no_outside_address(path: Path) -> None:
    assert outside(path.read_text()) == []


@pytest.mark.parametrize(
    "text", ["@import 'https://example.com/a.css'", 'src="//example.com/a.js"', "url(//a.b)"]
)
def test_an_outside_address_would_be_seen(text: str) -> None:
    assert len(outside(text)) == 1
