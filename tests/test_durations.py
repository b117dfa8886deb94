"""Durations and rates, as settings write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from service.variables import Duration, Rate, RateLimit


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("25s", 25), ("1.5m", 90), ("12h", 43200), ("7d", 604800), (" 5s ", 5)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert TypeAdapter(Duration).validate_python(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "5w", "1h30m", "1e3s", "5S", "0s"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Duration).validate_python(text)


@given(st.integers(1, 10**6), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_a_duration_survives_being_written_and_read(number: int, unit: str) -> None:
    read = TypeAdapter(Duration).validate_python(f"{number}{unit}")
    assert TypeAdapter(Duration).validate_python(f"{read.total_seconds():f}s") == read


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100 per 15 minutes", Rate(100, 900)),
        ("5 per hour", Rate(5, 3600)),
        ("1 / second", Rate(1, 1)),
        ("7  per   2 days", Rate(7, 172800)),
    ],
)
def test_a_rate_is_a_count_and_a_time(text: str, rate: Rate) -> None:
    assert TypeAdapter(RateLimit).validate_python(text) == rate


@pytest.mark.parametrize(
    "text", ["", "5", "0 per hour", "5 per 0 hours", "5 per week", "-1 per day", "x per hour"]
)
def test_anything_else_is_no_rate(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(RateLimit).validate_python(text)


@given(st.integers(1, 10**6), st.integers(1, 10**4))
def test_a_rate_survives_being_written_and_read(count: int, seconds: int) -> None:
    text = f"{count} per {seconds} seconds"
    assert TypeAdapter(RateLimit).validate_python(text) == Rate(count, seconds)
