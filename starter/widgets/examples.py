"""Widgets: what their owner may do, and nobody else."""

from uuid import UUID

import pytest
from flask.testing import FlaskClient

from tests.people import NOBODYS, Person

PATH = "/api/widgets"
BODY = {"name": "A name"}


def make(person: Person, **changes: str) -> dict[str, str]:
    response = person.post(PATH, json=BODY | changes)
    assert response.status_code == 201
    found: dict[str, str] = response.get_json()
    return found


def test_a_widget_is_made_and_seen_by_its_owner(alice: Person) -> None:
    response = alice.post(PATH, json=BODY)
    made = response.get_json()
    assert (response.status_code, made["name"]) == (201, "A name")
    assert UUID(made["id"]).version == 7
    assert made["created_at"].endswith("Z")
    assert alice.get(response.headers["Location"]).get_json() == made


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": None}, "name"),
        ({"owner_id": NOBODYS}, "owner_id"),
    ],
)
def test_a_widget_that_is_not_valid_is_refused(
    alice: Person, changes: dict[str, str], field: str
) -> None:
    response = alice.post(PATH, json=BODY | changes)
    assert response.status_code == 422
    assert [error["field"] for error in response.get_json()["errors"]] == [field]


def test_its_owner_changes_a_widget(alice: Person) -> None:
    path = f"{PATH}/{make(alice)['id']}"
    changed = alice.patch(path, json={"name": "Better"}).get_json()
    assert changed["name"] == "Better"
    assert alice.patch(path, json={}).get_json()["name"] == "Better"
    assert alice.get(path).get_json()["name"] == "Better"


def test_its_owner_deletes_a_widget(alice: Person) -> None:
    path = f"{PATH}/{make(alice)['id']}"
    assert alice.delete(path).status_code == 204
    assert alice.get(path).status_code == 404


def test_another_user_does_not_find_it(alice: Person, bob: Person) -> None:
    path = f"{PATH}/{make(alice)['id']}"
    assert bob.get(path).status_code == 404
    assert bob.patch(path, json={"name": "Mine"}).status_code == 404
    assert bob.delete(path).status_code == 404
    assert bob.get(PATH).get_json()["items"] == []
    assert alice.get(path).get_json()["name"] == "A name"


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_stranger_is_asked_to_sign_in(alice: Person, charlie: FlaskClient, method: str) -> None:
    path = f"{PATH}/{make(alice)['id']}"
    assert charlie.open(path, method=method, json={"name": "Mine"}).status_code == 401
    assert charlie.get(PATH).status_code == 401
    assert charlie.post(PATH, json=BODY).status_code == 401


def test_a_list_is_newest_first_and_paged_to_its_end(alice: Person) -> None:
    made = [make(alice, name=f"Number {number}")["id"] for number in range(5)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = alice.get(f"{PATH}?limit=2" + (f"&cursor={cursor}" if cursor else "")).get_json()
        assert len(page["items"]) <= 2
        seen += [each["id"] for each in page["items"]]
        cursor = page["next_cursor"]
    assert seen == sorted(made, reverse=True)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "cursor=nonsense", "page=2"])
def test_a_query_that_is_not_valid_is_refused(alice: Person, query: str) -> None:
    assert alice.get(f"{PATH}?{query}").status_code == 422


def test_the_widgets_of_a_deleted_user_are_gone(alice: Person, bob: Person) -> None:
    make(alice)
    kept = make(bob)
    assert alice.delete("/api/users/me").status_code == 204
    assert bob.get(PATH).get_json()["items"] == [kept]
