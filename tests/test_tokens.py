"""Tokens and cursors: what we did not give is refused, whatever it looks like."""

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from functools import lru_cache
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from service import tokens
from service.app import create_app
from service.errors import Invalid
from service.tokens import Claims
from tests.conftest import JWT_SECRET, make_settings
from tests.people import NOBODYS

ELSEWHERE = ("postgresql://nobody@127.0.0.1:1/none", "redis://127.0.0.1:1/0")

# The context is the same for all examples, and holds nothing of any of them.
many = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def app_of(secret: str = JWT_SECRET) -> Flask:
    return create_app(make_settings(*ELSEWHERE, jwt_secret=SecretStr(secret)))


@pytest.fixture(scope="module")
def own_app() -> Flask:
    return app_of()


@pytest.fixture(autouse=True)
def context(own_app: Flask) -> Iterator[None]:
    with own_app.app_context():
        yield


def signed(claims: dict[str, Any], secret: str = JWT_SECRET) -> str:
    return jwt.encode(claims, secret, "HS256")


def is_refused(cursor: str) -> bool:
    try:
        tokens.read_cursor(cursor)
    except Invalid as problem:
        return [error["field"] for error in problem.errors] == ["cursor"]
    return False


@many
@given(st.uuids())
def test_a_cursor_comes_back_as_its_id(id: UUID) -> None:
    cursor = tokens.make_cursor(id)
    assert tokens.read_cursor(cursor) == id
    assert len(cursor) == 38


@many
@given(st.text(max_size=60))
def test_a_cursor_that_was_made_up_is_refused(cursor: str) -> None:
    assert is_refused(cursor)


@many
@given(st.uuids(), st.integers(0, 223))
def test_a_cursor_with_one_bit_changed_is_refused(id: UUID, bit: int) -> None:
    raw = int.from_bytes(_bytes_of(tokens.make_cursor(id))) ^ 1 << bit
    assert is_refused(urlsafe_b64encode(raw.to_bytes(28)).rstrip(b"=").decode())


@many
@given(st.uuids(), st.integers(0, 38), st.text(min_size=1, max_size=3))
def test_a_cursor_with_something_put_in_is_refused(id: UUID, place: int, more: str) -> None:
    cursor = tokens.make_cursor(id)
    assert is_refused(cursor[:place] + more + cursor[place:])


@many
@given(st.uuids(), st.integers(0, 37))
def test_a_cursor_that_was_cut_off_is_refused(id: UUID, length: int) -> None:
    assert is_refused(tokens.make_cursor(id)[:length])


def _bytes_of(cursor: str) -> bytes:
    return urlsafe_b64decode(cursor + "==")


def test_a_cursor_of_another_secret_is_refused() -> None:
    id = uuid4()
    with app_of("another secret, which is long enough as well").app_context():
        foreign = tokens.make_cursor(id)
    assert is_refused(foreign)
    assert not is_refused(tokens.make_cursor(id))


def test_a_cursor_spells_its_id_in_one_way_only() -> None:
    cursor = tokens.make_cursor(UUID(int=2**128 - 1))
    assert "_" in cursor
    assert is_refused(cursor.replace("_", "/"))
    assert is_refused(cursor + "=")
    assert is_refused(cursor + "==")


def test_a_token_says_whose_it_is() -> None:
    id = uuid4()
    token, lifetime = tokens.issue(id, 3)
    assert tokens.read(token) == Claims(id, 3)
    assert lifetime == 7 * 24 * 3600


def _part(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
headers = values | st.fixed_dictionaries(
    {"alg": st.sampled_from(["none", "HS256", "RS256", ""])},
    optional={"crit": values, "b64": values, "zip": values, "kid": values, "typ": values},
)
forged = st.text(max_size=50) | st.builds(
    lambda header, claims, signature: f"{_part(header)}.{_part(claims)}.{signature}",
    headers,
    values,
    st.text(max_size=10),
)


@many
@given(forged)
def test_a_token_that_was_made_up_is_refused(token: str) -> None:
    assert tokens.read(token) == "The access token is not valid."


@many
@given(st.dictionaries(st.sampled_from(["sub", "gen", "exp", "x"]), values))
def test_a_signed_token_without_proper_claims_is_refused(claims: dict[str, Any]) -> None:
    assert isinstance(tokens.read(signed(claims)), str)


@pytest.mark.parametrize("odd", ['"gen": 1099511627776', '"gen": 1e999', '"gen": -1'])
def test_a_signed_token_with_odd_numbers_is_refused(own_app: Flask, odd: str) -> None:
    key = own_app.extensions["keys"].token
    payload = f'{{"sub": "{NOBODYS}", "exp": 9999999999, {odd}}}'.encode()
    token = jwt.api_jws.encode(payload, key, "HS256")
    with own_app.app_context():
        assert tokens.read(token) == "The access token is not valid."


def test_a_token_of_a_clock_that_is_ahead_is_accepted(own_app: Flask) -> None:
    ahead = {"sub": NOBODYS, "gen": 0, "iat": time.time() + 60, "exp": time.time() + 600}
    with own_app.app_context():
        found = tokens.read(jwt.encode(ahead, own_app.extensions["keys"].token, "HS256"))
    assert isinstance(found, Claims)


def test_a_token_that_was_remembered_ends_all_the_same(
    own_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = {"sub": str(uuid4()), "gen": 0, "exp": int(time.time()) + 60}
    token = signed(claims)
    naive = lru_cache(tokens.read)
    assert isinstance(naive(token), Claims)
    assert isinstance(tokens.read(token), Claims)
    monkeypatch.setattr(tokens, "time", SimpleNamespace(time=lambda: claims["exp"] + 0.5))
    assert tokens.read(token) == "The access token has expired. Sign in again."
    assert own_app.extensions["keys"].verified.cache_info().hits > 0
    assert isinstance(naive(token), Claims)  # what keeping the answer itself would do


def test_a_token_that_is_far_too_long_is_not_remembered(own_app: Flask) -> None:
    cache = own_app.extensions["keys"].verified
    before = cache.cache_info().currsize
    assert isinstance(tokens.read("x" * 5000), str)
    assert cache.cache_info().currsize == before
    assert isinstance(tokens.read(uuid4().hex), str)
    assert cache.cache_info().currsize == before + 1


def test_what_the_fallback_signs_is_accepted_and_what_is_made_is_signed_by_the_secret() -> None:
    """A rotation: each process passes through these, at its own time."""
    old, new = SecretStr("o" * 40), SecretStr("n" * 40)
    steps = [(old, None), (old, new), (new, old), (new, None)]
    apps = []
    for secret, fallback in steps:
        app = Flask("a process")
        found = make_settings(*ELSEWHERE, jwt_secret=secret, jwt_secret_fallback=fallback)
        app.extensions |= {"settings": found, "keys": tokens.Keys(found)}
        apps.append(app)
    accepted = [[reads(made_by(maker), reader) for reader in apps] for maker in apps]
    assert accepted == [
        [True, True, True, False],
        [True, True, True, False],
        [False, True, True, True],
        [False, True, True, True],
    ]


def made_by(app: Flask) -> tuple[str, str]:
    with app.app_context():
        return tokens.issue(uuid4(), 0)[0], tokens.make_cursor(uuid4())


def reads(made: tuple[str, str], app: Flask) -> bool:
    """Whether it accepts both, or neither."""
    token, cursor = made
    with app.app_context():
        reads_token = isinstance(tokens.read(token), Claims)
        try:
            tokens.read_cursor(cursor)
        except Invalid:
            assert not reads_token
            return False
    assert reads_token
    return True
