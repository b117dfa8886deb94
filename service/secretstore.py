"""SECRETS_FROM is asked here: tried again within a bound, and once for a tree of processes.

Nothing to change here.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from service.stores import Store, StoreError, Unreachable, kind_of

T = TypeVar("T")

BOUND = 10.0  # seconds that all tries together may take
TRIES = 3

_kept: dict[tuple[str | None, ...], dict[str, str]] = {}  # what was read, and forks inherit


def values(given: Mapping[str, str], fresh: bool, bound: float = BOUND) -> dict[str, str]:
    """All that the store holds which SECRETS_FROM names; nothing without one.

    As it was read before, in this process or one that forked it, unless it is to be `fresh`.
    Raises StoreError, after `bound` seconds at most.
    """
    if not (address := given.get("SECRETS_FROM")):
        return {}
    try:
        kind, name = kind_of(address)
    except ValueError as error:
        raise StoreError(str(error)) from None
    store = _store(kind)(name, given)
    if fresh or store.identity not in _kept:
        _kept[store.identity] = _texts(store, _fetched(store, bound))
    return _kept[store.identity]


def _store(kind: str) -> Callable[[str, Mapping[str, str]], Store]:
    # http.client with ssl, or botocore (0.4 s): who does not use them does not pay for them.
    if kind == "vault":
        from service.vault import store
    else:
        from service.secretsmanager import store
    return store


def _fetched(store: Store, bound: float) -> Mapping[str, Any]:
    """What it holds, tried again with growing pauses. Raises StoreError."""
    began, pause, tried = time.monotonic(), 0.2, 0
    while True:
        tried += 1
        try:
            return _within(bound - (time.monotonic() - began), store.read)
        except Unreachable as error:
            passed = time.monotonic() - began
            if tried == TRIES or passed + pause >= bound:
                raise StoreError(
                    f"{store.where} cannot be had: {error} (tries: {tried}, in {passed:.1f} s)"
                ) from None
        except StoreError as error:
            raise StoreError(f"{store.where} cannot be had: {error}", error.variable) from None
        time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
        pause *= 2


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Its result. Raises Unreachable after so long: who sends a byte now and then keeps to every
    time limit of a socket, and the chain of AWS' credentials has many links."""
    found: list[T] = []
    errors: list[StoreError] = []

    def run() -> None:
        try:
            found.append(call())
        except StoreError as error:
            errors.append(error)
        except Exception as error:  # whatever it is, who waits must hear of it
            errors.append(StoreError(f"asking it failed with {type(error).__name__}"))

    thread = threading.Thread(target=run, name="secrets", daemon=True)
    thread.start()
    thread.join(seconds)
    if found:
        return found[0]
    raise errors[0] if errors else Unreachable(f"no answer within {seconds:.0f} s")


def _texts(store: Store, found: Mapping[str, Any]) -> dict[str, str]:
    """The values, of which an empty one is none. Raises StoreError for what is no text."""
    for name, value in found.items():
        if not isinstance(value, str):
            raise StoreError(f"{store.where} has a value that is no text: {name}")
    return {name: value.strip() for name, value in found.items() if value.strip()}
