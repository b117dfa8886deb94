"""What the clients ask the sample for: a list, posts by id, and new ones that can be counted.

All that the suites under load know of a feature is here. `make remove-sample` puts
starter/without_sample/traffic.py in its place, which asks for accounts; your own feature will do.
"""

from typing import Any, Protocol
from uuid import uuid4

import psycopg

from tests.chaos.load import Ask, Outcome
from tests.people import PASSWORD
from tests.serving import Answer

TABLE = "posts"  # who locks it holds up each request for a list


class Asked(Protocol):
    """Whom a request can be sent to: a child of the tests, a stack of containers, a server."""

    def request(
        self, method: str, path: str, body: Any = None, headers: Any = None, /
    ) -> Answer: ...


class Traffic:
    """A user with a few posts, and the requests about them."""

    def __init__(self, served: Asked) -> None:
        account = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD}
        assert served.request("POST", "/api/users", account).status == 201
        token = served.request("POST", "/api/auth/login", account).json()["access_token"]
        self._signed_in = {"Authorization": f"Bearer {token}"}
        self.ids = [
            served.request("POST", "/api/posts", self._post(), self._signed_in).json()["id"]
            for _ in range(3)
        ]

    def index(self) -> Ask:
        return Ask("GET", "/api/posts")

    def show(self) -> Ask:
        return Ask("GET", f"/api/posts/{self.ids[0]}", keep_alive=False)

    def create(self) -> Ask:
        return Ask("POST", "/api/posts", self._post(), self._signed_in)

    def update(self) -> Ask:
        body = {"body": "Edited."}
        return Ask("PATCH", f"/api/posts/{self.ids[0]}", body, self._signed_in)

    @staticmethod
    def _post() -> dict[str, Any]:
        return {"title": uuid4().hex, "body": "Unique by its title."}


def a_read(served: Asked) -> Ask:
    """One that reads the database, and is answered 200."""
    return Ask("GET", "/api/posts?limit=1")


def send_to(served: Asked, ask: Ask) -> Answer:
    return served.request(ask.method, ask.path, ask.body, ask.headers)


def assert_right_or_503(writes: list[Outcome], database_url: str) -> None:
    """Each 201 is in the database once, the rest are 503 problems and there once at most."""
    with psycopg.connect(database_url) as connection:
        titles = [row[0] for row in connection.execute("SELECT title FROM posts").fetchall()]
    assert len(titles) == len(set(titles))
    written = {outcome.ask.body["title"] for outcome in writes if outcome.status == 201}  # type: ignore[index]
    assert written != set()
    assert written <= set(titles)
    for outcome in writes:
        assert outcome.status in (201, 503), outcome
        if outcome.status == 503:
            assert int(outcome.headers["Retry-After"]) > 0
            assert outcome.headers["Content-Type"] == "application/problem+json"
