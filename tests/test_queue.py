"""Functions that are jobs: what they are called, what they take, and what is no job."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import queue
from service.queue import PAYLOAD_LIMIT, Unfit, find, function_of, job
from tests.people import NOBODYS


@job(attempts=5, backoff=2, timeout=7, queue="low")
def take(id: UUID, *, when: datetime | None = None) -> tuple[UUID, datetime | None]:
    return id, when


@job()
def take_anything(value: Any) -> Any:
    return value


@job()
def fail_with_a_type_error(value: int) -> int:
    return value + "1"  # type: ignore[operator]


TAKE, ANYTHING = function_of(take), function_of(take_anything)


async def later() -> None: ...


def nothing() -> None: ...


@pytest.mark.parametrize(
    ("call", "options", "problem"),
    [
        (later, {}, "test_queue.later is async"),
        (nothing, {"timeout": "3m"}, r"test_queue.nothing: .* \(seconds\) are numbers"),
        (nothing, {"cron": "* * * *"}, "five fields are needed: minute hour day month weekday"),
        (nothing, {"cron": "*/5 * * * * *"}, "five fields are needed"),
        (nothing, {"cron": "@hourly"}, "five fields are needed"),
        (nothing, {"cron": 5}, "five fields are needed"),
        (nothing, {"cron": "61 * * * *"}, "'61 \\* \\* \\* \\*' is no cron line: Bad"),
    ],
)
def test_what_no_job_can_be_is_refused_by_its_name(
    call: Any, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        job(**options)(call)
    assert find("tests.test_queue.nothing") is None


def test_the_parentheses_of_the_decorator_are_asked_for() -> None:
    with pytest.raises(ValueError, match=r"test_queue.nothing: write @job\(\)"):
        job(nothing)


def test_arguments_of_another_type_are_refused_where_they_are_given() -> None:
    with pytest.raises(Unfit, match="take: argument 0: Input should be a valid UUID") as caught:
        TAKE.pack(("private@example.com",), {"when": datetime.now(UTC)})
    assert "private@" not in str(caught.value)


def test_a_job_is_found_by_its_name() -> None:
    assert TAKE.name == "tests.test_queue.take"
    assert find(TAKE.name) is TAKE
    assert (TAKE.queue, TAKE.attempts, TAKE.timeout) == ("low", 5, 7)
    assert find("os.system") is None


def test_a_job_of_a_feature_is_named_by_it() -> None:
    from service.users import jobs

    assert function_of(jobs.welcome).name == "users.jobs.welcome"


def test_arguments_come_back_as_the_types_that_the_function_declares() -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    packed = TAKE.pack((UUID(NOBODYS),), {"when": now})
    assert TAKE.run(packed) == (UUID(NOBODYS), now)


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists))
def test_json_comes_back_as_it_was(value: Any) -> None:
    try:
        packed = ANYTHING.pack((value,), {})
    except Unfit:  # half of a surrogate pair
        return
    assert ANYTHING.run(packed) == value


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ((), {}, "missing a required argument: 'id'"),
        ((1, 2), {}, "too many positional"),
        ((1,), {"x": 1}, "unexpected keyword"),
        ((object(),), {}, "Unable to serialize"),
        (("x" * PAYLOAD_LIMIT,), {}, f"more than {PAYLOAD_LIMIT}: pass an id instead"),
    ],
)
def test_arguments_that_cannot_be_kept_are_refused(
    args: tuple[Any, ...], kwargs: dict[str, Any], said: str
) -> None:
    with pytest.raises(Unfit, match=r"tests.test_queue.take: .*") as caught:
        TAKE.pack(args, kwargs)
    assert said in str(caught.value)


@pytest.mark.parametrize("packed", ['[["no uuid"], {}]', "[[], {}]", '[[], {"other": 1}]'])
def test_arguments_of_another_release_are_refused_when_they_do_not_fit(packed: str) -> None:
    with pytest.raises(Unfit, match=r"tests\.test_queue\.take"):
        TAKE.run(packed)


def test_an_error_inside_of_a_job_is_its_own() -> None:
    with pytest.raises(TypeError) as caught:
        function_of(fail_with_a_type_error).run("[[1], {}]")
    assert not isinstance(caught.value, Unfit)


@pytest.mark.parametrize("no_job", [len, lambda: None, print, None, []])
def test_what_is_not_decorated_is_no_job(no_job: Any) -> None:
    with pytest.raises(Unfit, match=r"decorate it with @job\(\)"):
        function_of(no_job)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"queue": "urgent"}, "no queue is called 'urgent'"),
        ({"attempts": 0}, "1 at least"),
        ({"timeout": 0}, "1 at least"),
        ({"backoff": -1}, "backoff 0"),
        ({"cron": "every day"}, "'every day' is no cron line"),
        ({"cron": "61 * * * *"}, "'61 \\* \\* \\* \\*' is no cron line: Bad minute"),
    ],
)
def test_a_wrong_option_is_refused_with_the_name_of_the_function(
    options: dict[str, Any], said: str
) -> None:
    def wrong() -> None: ...

    with pytest.raises(ValueError, match=f"^tests.test_queue.*wrong: .*{said}"):
        job(**options)(wrong)
    assert not any("wrong" in name for name in queue._functions)


def test_what_recurs_needs_no_arguments() -> None:
    def wrong(id: UUID) -> None: ...

    with pytest.raises(ValueError, match="wrong recurs, so it must need no arguments"):
        job(cron="* * * * *")(wrong)


@given(st.integers(1, 8))
def test_the_pause_doubles_and_is_spread(attempt: int) -> None:
    pauses = {TAKE.pause(attempt) for _ in range(20)}
    middle = 2 * 2 ** (attempt - 1)
    assert all(0.75 * middle <= pause <= 1.25 * middle for pause in pauses)
    assert len(pauses) > 1


@pytest.mark.parametrize(
    ("cron", "now", "due"),
    [
        ("* * * * *", "2026-11-25 10:00:30", "2026-11-25 10:00"),
        ("* * * * *", "2026-11-25 10:00:00", "2026-11-25 10:00"),
        ("17 3 * * *", "2026-11-25 03:16:59", "2026-11-24 03:17"),
        ("17 3 * * *", "2026-11-25 03:17:00", "2026-11-25 03:17"),
        ("0 0 1 1 *", "2026-11-25 03:17:00", "2026-01-01 00:00"),
    ],
)
def test_the_last_tick_is_the_one_at_or_before_now(cron: str, now: str, due: str) -> None:
    def recurring() -> None: ...

    function = queue.Function(recurring, "low", 1, 1, 1, cron)
    when = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert function.last_tick(when) == datetime.fromisoformat(due).replace(tzinfo=UTC)
