"""Accounts."""

from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from service.app import create_app
from service.settings import Settings
from service.variables import Rate
from tests.counted import counting
from tests.people import PASSWORD, Person

ACCOUNT = {"email": "dora@example.com", "password": "long enough to be good"}


def test_signing_up_makes_an_account_that_can_sign_in(charlie: FlaskClient) -> None:
    response = charlie.post("/api/users", json=ACCOUNT | {"name": "Dora"})
    user = response.get_json()
    assert response.status_code == 201
    assert (user["email"], user["name"]) == ("dora@example.com", "Dora")
    assert set(user) == {"id", "email", "name", "created_at"}
    assert charlie.post("/api/auth/login", json=ACCOUNT).status_code == 200


def test_an_address_is_taken_once_whatever_its_case(charlie: FlaskClient) -> None:
    assert charlie.post("/api/users", json=ACCOUNT).status_code == 201
    again = charlie.post("/api/users", json=ACCOUNT | {"email": "DORA@example.com"})
    assert again.status_code == 409
    assert charlie.post("/api/auth/login", json=ACCOUNT).status_code == 200


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "dora"}, "email"),
        ({"email": "dora@localhost"}, "email"),
        ({"email": "do ra@example.com"}, "email"),
        ({"email": "x" * 250 + "@example.com"}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 201}, "password"),
        ({"name": " "}, "name"),
        ({"admin": True}, "admin"),
    ],
)
def test_an_account_that_is_not_valid_is_refused(
    charlie: FlaskClient, changes: dict[str, object], field: str
) -> None:
    response = charlie.post("/api/users", json=ACCOUNT | changes)
    assert response.status_code == 422
    assert [error["field"] for error in response.get_json()["errors"]] == [field]


def test_an_error_does_not_repeat_the_password(charlie: FlaskClient) -> None:
    response = charlie.post("/api/users", json=ACCOUNT | {"password": "hunter2"})
    assert "hunter2" not in response.text


def test_the_own_account_is_shown_and_renamed(alice: Person) -> None:
    assert alice.get("/api/users/me").get_json()["email"] == alice.email
    assert alice.patch("/api/users/me", json={"name": "Al"}).get_json()["name"] == "Al"
    assert alice.patch("/api/users/me", json={"name": None}).get_json()["name"] is None


def test_a_new_address_needs_the_current_password(alice: Person, bob: Person) -> None:
    new = {"email": "new@example.com"}
    assert alice.patch("/api/users/me", json=new).status_code == 401
    assert alice.patch("/api/users/me", json=new | {"current_password": "x"}).status_code == 401
    right = {"current_password": PASSWORD}
    assert alice.patch("/api/users/me", json={"email": bob.email} | right).status_code == 409
    assert alice.patch("/api/users/me", json=new | right).get_json()["email"] == new["email"]


def test_a_new_password_ends_all_tokens(alice: Person) -> None:
    change = {"password": "another good password", "current_password": PASSWORD}
    assert alice.patch("/api/users/me", json=change).status_code == 200
    assert alice.get("/api/users/me").status_code == 401
    login = {"email": alice.email, "password": change["password"]}
    assert alice.client.post("/api/auth/login", json=login).status_code == 200


def test_a_stolen_token_does_not_help_to_guess_the_password(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"rate_limit_login": Rate(2, 3600)}))
    client, email = counting(app), f"{uuid4().hex}@example.com"
    client.environ_base["REMOTE_ADDR"] = "203.0.113.77"
    account = {"email": email, "password": PASSWORD}
    client.post("/api/users", json=account)
    token = client.post("/api/auth/login", json=account).get_json()["access_token"]
    signed_in = {"Authorization": f"Bearer {token}"}
    guess = {"email": "new@example.com", "current_password": "a guess of mine"}
    statuses = [
        client.patch("/api/users/me", json=body, headers=signed_in).status_code
        for body in (guess, guess, {"name": "Not limited"})
    ]
    assert statuses == [401, 429, 200]  # to sign in was the first attempt
    assert client.delete("/api/users/me", headers=signed_in).status_code == 204  # it is committed
    app.extensions["database"].engine.dispose()


def test_a_deleted_user_is_gone_and_so_is_the_token(alice: Person) -> None:
    assert alice.delete("/api/users/me").status_code == 204
    assert alice.get("/api/users/me").status_code == 401
    login = {"email": alice.email, "password": PASSWORD}
    assert alice.client.post("/api/auth/login", json=login).status_code == 401
