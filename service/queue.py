"""Jobs: functions that a worker runs later, and how each is to be run.

Add a job: a function with `@job()` in a feature's jobs.py, that its `__init__` imports; hand it
over with `service.outbox.enqueue`. Give it ids, not objects: it runs later, somewhere else.
"""

import inspect
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property, wraps
from typing import Any, TypeVar

from cronsim import CronSim, CronSimError
from pydantic import ValidationError, validate_call
from pydantic_core import PydanticSerializationError, from_json, to_json

QUEUES = ("high", "default", "low")  # a worker takes from the first that has something
PAYLOAD_LIMIT = 64 * 1024  # bytes of arguments, or of a result: pass the id of what is larger

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


class Unfit(TypeError):
    """Arguments or a result that cannot be kept; the message says which and why."""


class OtherArguments(Unfit):
    """Arguments that the function does not take: they are of a newer release, or an older one."""


class Function:
    """A function that a worker may run, and how. Nothing else is ever run."""

    def __init__(
        self,
        call: Callable[..., Any],
        queue: str,
        attempts: int,
        backoff: float,
        timeout: int,
        cron: str | None,
    ) -> None:
        self.name = name_of(call)
        self.call = call
        self.queue = queue
        self.attempts = attempts
        self.backoff = backoff
        self.timeout = timeout
        self.cron = cron
        self._check()

    def _check(self) -> None:
        if inspect.iscoroutinefunction(self.call):
            raise ValueError(f"{self.name} is async: a worker calls plain functions")
        if self.queue not in QUEUES:
            raise ValueError(f"{self.name}: no queue is called {self.queue!r}, only {QUEUES}")
        numbers = (self.attempts, self.timeout, self.backoff)
        if not all(isinstance(each, int | float) for each in numbers):
            raise ValueError(f"{self.name}: attempts, timeout and backoff (seconds) are numbers")
        if self.attempts < 1 or self.timeout < 1 or self.backoff < 0:
            raise ValueError(f"{self.name}: attempts and timeout are 1 at least, backoff 0")
        if self.cron is not None:
            self._check_cron(str(self.cron))

    def _check_cron(self, cron: str) -> None:
        problem = "five fields are needed: minute hour day month weekday"
        try:
            CronSim(cron, datetime.now(UTC))
            if len(cron.split()) == 5:  # CronSim takes seconds too, which no scheduler keeps
                problem = ""
        except CronSimError as error:
            if len(cron.split()) == 5:
                problem = str(error)
        if problem:
            raise ValueError(f"{self.name}: {cron!r} is no cron line: {problem}")
        if any(p.default is p.empty for p in self._signature.parameters.values()):
            raise ValueError(f"{self.name} recurs, so it must need no arguments")

    @cached_property
    def _signature(self) -> inspect.Signature:
        return inspect.signature(self.call)

    @cached_property
    def _convert(self) -> Callable[..., Any]:
        """Takes arguments out of JSON, and returns them as the types that the function declares."""
        return validate_call(wraps(self.call)(lambda *args, **kwargs: (args, kwargs)))

    def pack(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """The arguments as JSON. Raises Unfit if they do not fit the function or into JSON."""
        try:
            self._signature.bind(*args, **kwargs)
            packed = pack((args, kwargs))
            self._convert(*args, **kwargs)
            return packed
        except ValidationError as error:
            raise Unfit(f"{self.name}: {_told(error)}") from error
        except (TypeError, ValueError) as error:
            raise Unfit(f"{self.name}: {error}") from error

    def run(self, packed: str) -> Any:
        """Call it with packed arguments, converted to the types that it declares.

        Raises OtherArguments if they do not fit, because the function has changed.
        """
        args, kwargs = from_json(packed)
        try:
            self._signature.bind(*args, **kwargs)
            args, kwargs = self._convert(*args, **kwargs)
        except ValidationError as error:
            raise OtherArguments(f"{self.name}: {_told(error)}") from error
        except TypeError as error:
            raise OtherArguments(f"{self.name}: {error}") from error
        return self.call(*args, **kwargs)

    def pause(self, attempt: int) -> float:
        """Seconds before the next attempt: doubled each time, and spread by a quarter each way."""
        return self.backoff * 2.0 ** (attempt - 1) * random.uniform(0.75, 1.25)  # noqa: S311

    def last_tick(self, now: datetime) -> datetime:
        """When it was last due, at or before `now`."""
        assert self.cron is not None
        return next(CronSim(self.cron, now.replace(microsecond=1), reverse=True))


def name_of(call: Callable[..., Any]) -> str:
    """What a job is called: `users.jobs.welcome`."""
    return f"{call.__module__.removeprefix('service.')}.{call.__qualname__}"


def _told(error: ValidationError) -> str:
    """The first thing that is wrong, without the value."""
    first = error.errors(include_input=False, include_url=False)[0]
    return f"argument {first['loc'][0]}: {first['msg']}" if first["loc"] else str(first["msg"])


_functions: dict[str, Function] = {}
_by_callable: dict[Callable[..., Any], Function] = {}


def job(
    *misplaced: Callable[..., Any],
    queue: str = "default",
    attempts: int = 3,
    backoff: float = 5,
    timeout: int = 180,
    cron: str | None = None,
) -> Callable[[AnyFunction], AnyFunction]:
    """Let a worker run the function.

    It gets `attempts`, with a back-off of `backoff` seconds that doubles; an attempt is ended
    after `timeout` seconds. With `cron`, a line in UTC, it runs by itself. The worker commits
    the session after it, together with the job's success: so what it does in the database is
    done once. Raises ValueError for what no job can be: a wrong queue, cron line or number.
    """
    for call in misplaced:
        raise ValueError(f"{name_of(call)}: write @job(), with its parentheses")

    def register(call: AnyFunction) -> AnyFunction:
        function = Function(call, queue, attempts, backoff, timeout, cron)
        _functions[function.name] = _by_callable[call] = function
        return call

    return register


def function_of(call: Callable[..., Any]) -> Function:
    """How a function is to be run. Raises Unfit if it is no job."""
    try:
        return _by_callable[call]
    except (KeyError, TypeError):
        raise Unfit(f"{call!r} is no job: decorate it with @job()") from None


def find(name: str) -> Function | None:
    """The function of this name, if the code has it."""
    return _functions.get(name)


def functions() -> list[Function]:
    """All that there are."""
    return list(_functions.values())


def recurring() -> list[Function]:
    return [function for function in functions() if function.cron]


def pack(value: object) -> str:
    """A value as JSON. Raises Unfit if it is no JSON, or too large."""
    try:
        packed = to_json(value)
    except PydanticSerializationError as error:
        raise Unfit(f"{error}: pass ids, numbers and text") from None
    if len(packed) > PAYLOAD_LIMIT:
        raise Unfit(f"{len(packed)} bytes are more than {PAYLOAD_LIMIT}: pass an id instead")
    return packed.decode()
