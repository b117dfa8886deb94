"""Sign-in, tokens, sign-out."""

import base64
import json
import statistics
import time

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient

from service import passwords
from tests.conftest import JWT_SECRET
from tests.people import PASSWORD, Person


def test_signing_in_gives_a_token_that_signs_in(alice: Person) -> None:
    login = {"email": alice.email.upper(), "password": PASSWORD}
    answer = alice.client.post("/api/auth/login", json=login).get_json()
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 7 * 24 * 3600)
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    assert alice.client.get("/api/users/me", headers=headers).get_json()["id"] == str(alice.id)


def test_a_wrong_password_and_an_unknown_address_read_the_same(alice: Person) -> None:
    def refuse(email: str) -> dict[str, object]:
        response = alice.client.post("/api/auth/login", json={"email": email, "password": "x"})
        assert response.status_code == 401
        return {k: v for k, v in response.get_json().items() if k != "request_id"}

    assert refuse(alice.email) == refuse("nobody@example.com") == refuse("not even an address")


def test_a_wrong_password_and_an_unknown_address_cost_the_same(alice: Person) -> None:
    def cpu(email: str) -> float:
        start = time.thread_time()
        alice.client.post("/api/auth/login", json={"email": email, "password": "wrong"})
        return time.thread_time() - start

    pairs = [(cpu(alice.email), cpu("nobody@example.com")) for _ in range(7)]
    # A missing check would make it twenty times cheaper.
    assert 0.5 < statistics.median(known / unknown for known, unknown in pairs) < 2


def test_nobodys_hash_is_made_like_all_others() -> None:
    assert not passwords.is_outdated(passwords.NOBODY)


def test_a_password_hashed_with_old_parameters_is_hashed_anew(app: Flask, alice: Person) -> None:
    from argon2 import PasswordHasher

    from service.db import session
    from service.users.models import User

    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with app.app_context():
        session.get_one(User, alice.id).password_hash = old
        session.commit()
    login = {"email": alice.email, "password": PASSWORD}
    assert alice.client.post("/api/auth/login", json=login).status_code == 200
    with app.app_context():
        assert not passwords.is_outdated(session.get_one(User, alice.id).password_hash)


def test_signing_out_ends_every_token(alice: Person) -> None:
    login = {"email": alice.email, "password": PASSWORD}
    other = alice.client.post("/api/auth/login", json=login).get_json()["access_token"]
    assert alice.post("/api/auth/logout").status_code == 204
    for token in (alice.token, other):
        headers = {"Authorization": f"Bearer {token}"}
        assert alice.client.get("/api/users/me", headers=headers).status_code == 401
    assert alice.client.post("/api/auth/login", json=login).status_code == 200


def forged(claims: dict[str, object], secret: str = JWT_SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, secret, algorithm)


def unsigned(claims: dict[str, object]) -> str:
    def part(value: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


@pytest.mark.parametrize(
    "forge",
    [
        lambda claims: forged(claims, secret="a secret that somebody else has chosen"),
        lambda claims: forged(claims, algorithm="HS512"),
        lambda claims: unsigned(claims),
        lambda claims: forged(claims | {"exp": int(time.time()) - 1}),
        lambda claims: forged(claims | {"gen": 1}),
        lambda claims: forged(claims | {"gen": "x"}),
        lambda claims: forged(claims | {"sub": "nobody"}),
        lambda claims: forged(claims | {"sub": "0199a0a0-0000-7000-8000-000000000000"}),
        lambda claims: forged({k: v for k, v in claims.items() if k != "exp"}),
        lambda claims: forged(claims)[:-2],
        lambda claims: "nonsense",
        lambda claims: "",
        lambda claims: "a.b.c",
    ],
)
def test_a_token_that_we_did_not_give_is_refused(alice: Person, forge: object) -> None:
    claims = {"sub": str(alice.id), "gen": 0, "exp": int(time.time()) + 60}
    assert callable(forge)
    headers = {"Authorization": f"Bearer {forge(claims)}"}
    response = alice.client.get("/api/users/me", headers=headers)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    good = {"Authorization": f"Bearer {forged(claims)}"}
    assert alice.client.get("/api/users/me", headers=good).status_code == 200


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "token"])
def test_another_kind_of_authorization_is_refused(charlie: FlaskClient, value: str) -> None:
    response = charlie.get("/api/users/me", headers={"Authorization": value})
    assert response.status_code == 401
