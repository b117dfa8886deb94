"""The sample: copied with it, deleted with it."""

from uuid import UUID

import pytest
from flask.testing import FlaskClient

from tests.people import NOBODYS, Person

BODY = {"title": "A title", "body": "A body."}


def write(person: Person, **changes: str) -> dict[str, str]:
    response = person.post("/api/posts", json=BODY | changes)
    assert response.status_code == 201
    return response.get_json()


def test_a_post_is_written_and_read_by_anyone(alice: Person, charlie: FlaskClient) -> None:
    response = alice.post("/api/posts", json=BODY)
    post = response.get_json()
    assert (response.status_code, post["author_id"]) == (201, str(alice.id))
    assert UUID(post["id"]).version == 7
    assert post["created_at"].endswith("Z")
    assert charlie.get(response.headers["Location"]).get_json() == post


def test_only_who_is_signed_in_writes(charlie: FlaskClient) -> None:
    response = charlie.post("/api/posts", json=BODY)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "  "}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"title": 1}, "title"),
        ({"title": None}, "title"),
        ({"body": ""}, "body"),
        ({"boddy": "misspelt"}, "boddy"),
        ({"author_id": NOBODYS}, "author_id"),
    ],
)
def test_a_post_that_is_not_valid_is_refused(
    alice: Person, changes: dict[str, str], field: str
) -> None:
    response = alice.post("/api/posts", json=BODY | changes)
    assert response.status_code == 422
    assert [error["field"] for error in response.get_json()["errors"]] == [field]


def test_the_author_changes_a_post(alice: Person) -> None:
    post = write(alice)
    changed = alice.patch(f"/api/posts/{post['id']}", json={"title": "Better"}).get_json()
    assert (changed["title"], changed["body"]) == ("Better", post["body"])
    assert alice.get(f"/api/posts/{post['id']}").get_json() == changed


def test_the_author_deletes_a_post(alice: Person) -> None:
    path = f"/api/posts/{write(alice)['id']}"
    assert alice.delete(path).status_code == 204
    assert alice.get(path).status_code == 404


def test_another_user_cannot_change_or_delete_a_post(alice: Person, bob: Person) -> None:
    post = write(alice)
    path = f"/api/posts/{post['id']}"
    assert bob.patch(path, json={"title": "Mine"}).status_code == 403
    assert bob.delete(path).status_code == 403
    assert bob.get(path).get_json() == post


def test_a_stranger_cannot_change_or_delete_a_post(alice: Person, charlie: FlaskClient) -> None:
    path = f"/api/posts/{write(alice)['id']}"
    assert charlie.patch(path, json={"title": "Mine"}).status_code == 401
    assert charlie.delete(path).status_code == 401


@pytest.mark.parametrize("id", [NOBODYS, "1", "not-a-uuid", "%00", "0" * 40])
def test_a_post_that_is_not_there_is_not_found(charlie: FlaskClient, id: str) -> None:
    response = charlie.get(f"/api/posts/{id}")
    assert (response.status_code, response.mimetype) == (404, "application/problem+json")


def test_a_list_is_newest_first_and_paged_to_its_end(alice: Person) -> None:
    written = [write(alice, title=f"Post {number}")["id"] for number in range(5)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = alice.get("/api/posts?limit=2" + (f"&cursor={cursor}" if cursor else "")).get_json()
        assert len(page["items"]) <= 2
        seen += [post["id"] for post in page["items"]]
        cursor = page["next_cursor"]
    assert sorted(seen, reverse=True) == seen
    assert seen == sorted(written, reverse=True)


def test_a_list_is_of_one_author(alice: Person, bob: Person) -> None:
    write(alice)
    theirs = write(bob)
    assert alice.get(f"/api/posts?author={bob.id}").get_json()["items"] == [theirs]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=many", "limit"),
        ("limit=1&limit=2", "limit"),
        ("author=alice", "author"),
        ("page=2", "page"),
        ("cursor=", "cursor"),
        ("cursor=nonsense", "cursor"),
        ("cursor=%ff", "cursor"),
        ("cursor=%00", "cursor"),
    ],
)
def test_a_query_that_is_not_valid_is_refused(charlie: FlaskClient, query: str, field: str) -> None:
    response = charlie.get(f"/api/posts?{query}")
    assert response.status_code == 422
    assert [error["field"] for error in response.get_json()["errors"]] == [field]


def test_a_cursor_that_was_tampered_with_is_refused(alice: Person) -> None:
    for _ in range(2):
        write(alice)
    cursor = alice.get("/api/posts?limit=1").get_json()["next_cursor"]
    for place in range(len(cursor)):
        other = "A" if cursor[place] != "A" else "B"
        forged = cursor[:place] + other + cursor[place + 1 :]
        assert alice.get(f"/api/posts?cursor={forged}").status_code == 422
    assert alice.get(f"/api/posts?cursor={cursor}").status_code == 200


def test_the_posts_of_a_deleted_user_are_gone(alice: Person) -> None:
    path = f"/api/posts/{write(alice)['id']}"
    assert alice.delete("/api/users/me").status_code == 204
    assert alice.client.get(path).status_code == 404
