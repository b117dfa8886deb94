"""Admission: whom a cookie of /ops lets in, and whose requests are believed."""

import time

import pytest
from flask import Request
from pydantic import SecretStr
from werkzeug.test import EnvironBuilder

from service import admission
from service.admission import LIFETIME, is_from_here, is_valid, issue

TOKEN = SecretStr("a token of the tests, long enough for production")
OTHER = SecretStr("another token, as long as a token must be to be one")


def test_a_cookie_is_good_for_half_a_day() -> None:
    end = time.time() - LIFETIME.total_seconds()
    assert is_valid(TOKEN, issue(TOKEN))
    assert is_valid(TOKEN, issue(TOKEN, end + 60))
    assert not is_valid(TOKEN, issue(TOKEN, end - 1))


def test_a_new_token_ends_every_session() -> None:
    assert not is_valid(OTHER, issue(TOKEN))


def later(cookie: str) -> str:
    end, _, signature = cookie.partition(".")
    return f"{int(end) + 3600}.{signature}"


@pytest.mark.parametrize(
    "cookie",
    [
        *("", ".", "x", "9999999999.", "9999999999.0000", "x.y.z", "ä.ö", "\ud800"),
        # No two processes of a run make the same one.
        pytest.param(later(issue(TOKEN)), id="another end"),
    ],
)
def test_a_forged_cookie_is_refused(cookie: str) -> None:
    assert not is_valid(TOKEN, cookie)


def test_the_cookie_does_not_hold_the_token() -> None:
    assert TOKEN.get_secret_value() not in issue(TOKEN)


@pytest.mark.parametrize(("given", "expected"), [(TOKEN, True), (OTHER, False)])
def test_the_token_itself_is_compared(given: SecretStr, expected: bool) -> None:
    assert admission.is_token(TOKEN, given.get_secret_value()) == expected
    assert not admission.is_token(TOKEN, "ä\ud800")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://api.example.com"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Origin": "http://api.example.com"}, True),
        ({"Origin": "https://api.example.com:8443"}, True),
        ({"Origin": "https://evil.example.com"}, False),
        ({"Origin": "https://api.example.com.evil.com"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://[broken"}, False),
        ({}, False),
    ],
)
def test_a_browser_says_whose_page_sent_it(headers: dict[str, str], expected: bool) -> None:
    environ = EnvironBuilder(
        "/ops/sign-out", "http://api.example.com", method="POST", headers=headers
    ).get_environ()
    assert is_from_here(Request(environ)) == expected
