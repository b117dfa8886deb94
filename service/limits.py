"""Rate limits: one Lua call to Redis a request, right across processes and machines.

Add a limit: a setting of type RateLimit, and `@limits.strict("its_name")` on the view.

A fixed window that begins with a client's first request: one INCR, exact under any number of
processes, and its end is what `RateLimit-Reset` says. `limits` and flask-limiter were weighed:
two round trips and 290 µs for the same, and a Redis that hangs costs every request its time-out.
"""

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import structlog
from flask import Flask, current_app, request
from redis import Redis, RedisError

from service import metrics, tokens, tracing
from service.errors import Problem
from service.redis import Script, redis
from service.settings import Settings
from service.variables import Rate

log = structlog.get_logger()

View = TypeVar("View", bound=Callable[..., Any])

PAUSE = 5  # seconds without a try, after Redis did not answer
SLOW = 0.25  # seconds that an answer may take; the time-outs of a client hold for each of its steps
MEMORY = 10_000  # clients whose strict limits are counted here while Redis is down

_REDIS: tracing.Attributes = {"db.system.name": "redis"}  # what a trace tells of the call

HEADERS = ("RateLimit-Policy", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")

# For each key: count one more, begin the window with the first, and say what is left of it.
# A key without an end (a crash between two commands of an older client) is given one.
SCRIPT = """
local out = {}
for i, key in ipairs(KEYS) do
  local count = redis.call('INCR', key)
  local left = count > 1 and redis.call('PTTL', key) or -1
  if left < 0 then
    left = tonumber(ARGV[i])
    redis.call('PEXPIRE', key, left)
  end
  out[2 * i - 1] = count
  out[2 * i] = left
end
return out
"""


class TooManyRequests(Problem):
    status = 429


class Window(NamedTuple):
    """What a client has used of a limit: requests so far, and seconds until it begins anew."""

    rule: str
    rate: Rate
    used: int
    left: float


class Counters:
    """Counts in memory, for strict limits while Redis is down. Bounded; the oldest go first."""

    def __init__(self) -> None:
        self._windows: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def count(self, key: str, rate: Rate) -> tuple[int, float]:
        now = time.monotonic()
        with self._lock:
            used, end = self._windows.pop(key, (0, 0.0))
            if end <= now:
                used, end = 0, now + rate.seconds
            self._windows[key] = (used + 1, end)
            if len(self._windows) > MEMORY:
                self._windows.popitem(last=False)
        return used + 1, end - now


class Limiter:
    """The limits of an app.

    A breaker stands before Redis: when it does not answer in time, who asked has waited once,
    and during the next `pause` nobody asks; then one thread tries, while the others do not wait.
    Meanwhile the general limit lets requests pass, and strict ones are counted here, with a
    share of the limit for each of the `processes` that is half of what it would be, at least 1.
    """

    def __init__(self, client: Redis, processes: int, pause: float = PAUSE) -> None:
        self._script = Script(client, SCRIPT)
        self._processes = processes
        self._pause, self._slow = pause, SLOW  # seconds
        self._memory = Counters()
        self._broken = False
        self._try_at = 0.0  # monotonic seconds
        self._trying = threading.Lock()

    def count(
        self, identity: str, rules: Sequence[tuple[str, Rate]], lenient: int = 1
    ) -> list[Window]:
        """Count a request on each rule; the windows of the rules that could be counted.

        Without Redis the first `lenient` ones let it pass, and the rest is strict.
        """
        if not self._broken:
            found = self._ask(identity, rules)
        elif time.monotonic() >= self._try_at and self._trying.acquire(blocking=False):
            try:
                found = self._ask(identity, rules)
            finally:
                self._trying.release()
        else:
            found = None
        if found is not None:
            return found
        for rule, _ in rules:
            metrics.LIMITER_FALLBACKS.labels(rule).inc()
        return [self._in_memory(identity, rule, rate) for rule, rate in rules[lenient:]]

    def _ask(self, identity: str, rules: Sequence[tuple[str, Rate]]) -> list[Window] | None:
        """The windows as Redis counts them, or None; an answer that took too long breaks it too."""
        start, reason = time.monotonic(), "it answers too slowly"
        try:
            with tracing.span("EVALSHA", _REDIS, client=True):
                found = self._in_redis(identity, rules)
        except RedisError as error:
            found, reason = None, str(error)
        self._broken = found is None or time.monotonic() - start > self._slow
        if self._broken:
            self._try_at = time.monotonic() + self._pause
            log.warning("rate limits without redis", reason=reason, pause_s=self._pause)
        return found

    def _in_redis(self, identity: str, rules: Sequence[tuple[str, Rate]]) -> list[Window]:
        keys = [f"limit:fixed:{rule}:{{{identity}}}" for rule, _ in rules]
        found = self._script(keys, [rate.seconds * 1000 for _, rate in rules])
        return [
            Window(rule, rate, found[2 * i], found[2 * i + 1] / 1000)
            for i, (rule, rate) in enumerate(rules)
        ]

    def _in_memory(self, identity: str, rule: str, rate: Rate) -> Window:
        stricter = Rate(max(1, rate.count // (2 * self._processes)), rate.seconds)
        return Window(rule, stricter, *self._memory.count(f"{rule}:{identity}", stricter))


def strict(name: str) -> Callable[[View], View]:
    """Put the limit of this setting on a view, on top of the general one, Redis or not."""

    def mark(view: View) -> View:
        view.rate_limit = name  # type: ignore[attr-defined]
        return view

    return mark


def identity(strict: bool) -> str:
    """Who a limit is for: the user where signed in, else the client's address, or its /64.

    A strict one is always for the address, or each account would bring attempts of its own.
    """
    if not strict and isinstance(claims := tokens.of_request(), tokens.Claims):
        return f"user:{claims.user_id}"
    return f"address:{group(request.remote_addr or '')}"


def group(address: str) -> str:
    """The address that a limit counts for: who has one IPv6 address has all of its /64."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    except ValueError:
        return address


class Limits(NamedTuple):
    """The rules of an app by their settings' names, and what counts them."""

    limiter: Limiter
    rules: dict[str, tuple[str, Rate]]

    def check(self, windows: Sequence[Window]) -> None:
        """Tell of the tightest window in the RateLimit headers. Raises TooManyRequests.

        https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-07
        """
        if not windows:
            return
        tightest = min(windows, key=lambda window: window.rate.count - window.used)
        limit, reset = tightest.rate.count, max(1, math.ceil(tightest.left))
        remaining = max(0, limit - tightest.used)
        values = (f"{limit};w={tightest.rate.seconds}", str(limit), str(remaining), str(reset))
        headers = request.environ["service.headers"]
        headers[:] = [each for each in headers if each[0] not in HEADERS]
        headers += zip(HEADERS, values, strict=True)
        if tightest.used > limit:
            metrics.LIMITED.labels(tightest.rule).inc()
            detail = f"Too many requests: {limit} are allowed in {tightest.rate.seconds} s."
            raise TooManyRequests(detail, headers={"Retry-After": str(reset)})


def count(name: str) -> None:
    """Count this request on the limit of this setting, in the middle of a view: a strict limit for
    what only some of its requests do. Raises TooManyRequests."""
    found: Limits = current_app.extensions["limits"]
    rules = [found.rules[name]]
    found.check(found.limiter.count(identity(strict=True), rules, lenient=0))


def init_app(app: Flask, settings: Settings, processes: int) -> None:
    rules = {
        name: (name.removeprefix("rate_limit_"), rate)
        for name, rate in settings
        if isinstance(rate, Rate)
    }
    general = [rules["rate_limit_default"]]
    with app.app_context():
        limiter = Limiter(redis(), processes)
    limits = app.extensions["limits"] = Limits(limiter, rules)

    @app.before_request
    def check() -> None:
        """Count this request. Raises TooManyRequests; adds the RateLimit headers either way."""
        path = request.environ["PATH_INFO"].lstrip("/")  # as Werkzeug reads it: //api is /api
        if not path.startswith("api/") or request.method == "OPTIONS":
            return  # a browser's preflight asks before each request, and cannot wait
        extra = getattr(app.view_functions.get(request.endpoint or ""), "rate_limit", None)
        wanted = [*general, rules[extra]] if extra else general
        limits.check(limiter.count(identity(strict=extra is not None), wanted))
