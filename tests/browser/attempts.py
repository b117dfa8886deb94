"""To sign in until there were too many attempts."""

from collections.abc import Callable

from tests.browser.conftest import SIGN_INS
from tests.serving import Served
from tests.waiting import until

SLOW = "rate limits without redis"


def until_too_many(served: Served, refused: str, before: str, attempt: Callable[[], str]) -> str:
    """What is said in the end. SIGN_INS attempts are answered as `before`; fewer or more where
    Redis was slow for a moment, because web counts by itself then, to half of them."""
    until(lambda: "RateLimit-Limit" in served.request("GET", "/api/nowhere").headers)
    slow = len(served.events(SLOW))
    allowed = 0
    while refused not in (said := attempt()):
        assert before in said
        allowed += 1
        assert allowed <= 2 * SIGN_INS
    assert allowed
    if len(served.events(SLOW)) == slow:
        assert allowed == SIGN_INS
    return said
