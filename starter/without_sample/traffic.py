"""What the clients ask for: their own account, and new ones that can be counted.

All that the suites under load know of a feature is here: put one of yours in its place.
"""

from typing import Any, Protocol
from uuid import uuid4

import psycopg

from tests.chaos.load import Ask, Outcome
from tests.people import PASSWORD
from tests.serving import Answer

TABLE = "users"  # who locks it holds up each request of who is signed in


class Asked(Protocol):
    """Whom a request can be sent to: a child of the tests, a stack of containers, a server."""

    def request(
        self, method: str, path: str, body: Any = None, headers: Any = None, /
    ) -> Answer: ...


class Traffic:
    """A user, and the requests about them."""

    def __init__(self, served: Asked) -> None:
        account = self._account()
        assert served.request("POST", "/api/users", account).status == 201
        token = served.request("POST", "/api/auth/login", account).json()["access_token"]
        self._signed_in = {"Authorization": f"Bearer {token}"}

    def index(self) -> Ask:
        return Ask("GET", "/api/users/me", None, self._signed_in)

    def show(self) -> Ask:
        return self.index()._replace(keep_alive=False)

    def create(self) -> Ask:
        return Ask("POST", "/api/users", self._account())

    def update(self) -> Ask:
        return Ask("PATCH", "/api/users/me", {"name": uuid4().hex}, self._signed_in)

    @staticmethod
    def _account() -> dict[str, Any]:
        return {"email": f"{uuid4().hex}@example.com", "password": PASSWORD}


def a_read(served: Asked) -> Ask:
    """One that reads the database, and is answered 200."""
    return Traffic(served).index()


def send_to(served: Asked, ask: Ask) -> Answer:
    return served.request(ask.method, ask.path, ask.body, ask.headers)


def assert_right_or_503(writes: list[Outcome], database_url: str) -> None:
    """Each 201 is in the database once, the rest are 503 problems and there once at most."""
    with psycopg.connect(database_url) as connection:
        emails = [row[0] for row in connection.execute("SELECT email FROM users").fetchall()]
    assert len(emails) == len(set(emails))
    written = {outcome.ask.body["email"] for outcome in writes if outcome.status == 201}
    assert written != set()
    assert written <= set(emails)
    for outcome in writes:
        assert outcome.status in (201, 503), outcome
        if outcome.status == 503:
            assert int(outcome.headers["Retry-After"]) > 0
            assert outcome.headers["Content-Type"] == "application/problem+json"
