"""UUIDv7: laid out as RFC 9562 says, in order of time, and never the same twice."""

import time
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from service.ids import uuid7

LAST = 2**48 - 1  # milliseconds; the year 10889


def made_at(milliseconds: int, random: bytes = b"\xff" * 10) -> UUID:
    """An id of this time and these bytes: the clock and the generator of Python, held still."""
    with (
        patch("time.time_ns", lambda: milliseconds * 1_000_000),
        patch("os.urandom", lambda size: random[:size]),
    ):
        return uuid7()


def test_an_id_is_laid_out_as_the_rfc_says() -> None:
    # The example of RFC 9562, appendix A.6.
    random = bytes.fromhex("0cc3" + "18c4dc0c0c07398f")
    assert str(made_at(0x017F22E279B0, random)) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(st.integers(0, LAST), st.binary(min_size=10, max_size=10))
def test_time_version_and_variant_are_in_their_places(milliseconds: int, random: bytes) -> None:
    id = made_at(milliseconds, random)
    assert (id.version, id.variant) == (7, RFC_4122)
    assert id.int >> 80 == milliseconds
    assert id.int >> 64 & 0x0FFF == int.from_bytes(random) >> 64 & 0x0FFF
    assert id.int & (1 << 62) - 1 == int.from_bytes(random) & (1 << 62) - 1


@given(st.integers(0, LAST - 1), st.binary(min_size=10, max_size=10))
def test_ids_are_in_order_of_time_whatever_is_random(milliseconds: int, random: bytes) -> None:
    earlier, later = made_at(milliseconds), made_at(milliseconds + 1, random)
    assert earlier < later
    assert str(earlier) < str(later)
    assert earlier.bytes < later.bytes


def test_an_id_is_of_now() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid7().int >> 80
    assert before <= made <= time.time_ns() // 1_000_000


def test_no_two_ids_are_the_same() -> None:
    with ThreadPoolExecutor(4) as threads:
        ids = list(threads.map(lambda _: uuid7(), range(2_000)))
    assert len(set(ids)) == 2_000
