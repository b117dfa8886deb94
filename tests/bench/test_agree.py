"""A server that does less than the others would be the fastest: it is found before."""

from typing import Any

import pytest

from bench.agree import differences

POST = {
    "id": "0199c8f5-5f0e-7d5c-9c4a-0123456789ab",
    "title": "One",
    "created_at": "2026-11-27T10:00:00.500000+00:00",
}


def test_a_time_may_be_spelt_otherwise_and_a_list_may_have_a_cursor() -> None:
    found = {**POST, "created_at": "2026-11-27T10:00:00.5Z", "id": POST["id"].upper()}
    page = {"items": [found], "next_cursor": "abc"}
    assert list(differences({"items": [POST]}, page)) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"items": []}, "items has 0 items, not 1"),
        ({"items": [{"id": POST["id"]}]}, "items[0] has ['id'], not"),
        ({"items": [{**POST, "title": "Two"}]}, "items[0].title is 'Two', not 'One'"),
        ({"items": [{**POST, "created_at": "now"}]}, "items[0].created_at is 'now', not of the"),
        ({"items": [POST], "count": 1}, "the answer has ['count', 'items'], not ['items']"),
        ([POST], "is ["),
    ],
)
def test_another_answer_is_reported(found: Any, said: str) -> None:
    (only,) = differences({"items": [POST]}, found)
    assert said in only


def test_what_a_server_makes_is_of_the_same_kind_and_the_rest_is_the_same() -> None:
    made = {**POST, "id": "0199c8f5-5f0e-7d5c-9c4a-0123456789ac", "created_at": POST["created_at"]}
    assert list(differences(POST, made, made=True)) == []
    wrong = {**made, "id": 7, "title": "Two"}
    found = list(differences(POST, wrong, made=True))
    assert [each.partition(" ")[0] for each in found] == ["id", "title"]
