"""What a store of secrets is, and what can be wrong with one.

Add a kind of store: its name in KINDS, a module with `store`, and a line in secretstore.py.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

KINDS = ("aws-secrets-manager", "vault")
LONGEST = 2**20  # bytes of an answer; no store takes a secret that is larger


class StoreError(Exception):
    """The secrets cannot be had; the message says why, and `variable` which one to look at."""

    def __init__(self, message: str, variable: str = "SECRETS_FROM") -> None:
        super().__init__(message)
        self.variable = variable


class Unreachable(StoreError):
    """The store did not answer, or said that it cannot just now: to be tried again."""


class Denied(StoreError):
    """The store knows us not, or does not let us read this."""


class Store(NamedTuple):
    """A secret of a store: what it is called, how it is read, what tells it from others."""

    where: str  # for people
    read: Callable[[], Mapping[str, Any]]  # raises StoreError; each of its calls has a time limit
    identity: tuple[str | None, ...]


def kind_of(address: str) -> tuple[str, str]:
    """The kind of store that a SECRETS_FROM names, and the secret's name. Raises ValueError."""
    kind, _, name = address.partition("://")
    if kind not in KINDS or not (name := name.strip("/")):
        raise ValueError("must read like aws-secrets-manager://NAME or vault://MOUNT/PATH")
    if kind == "vault" and not name.partition("/")[2]:
        raise ValueError("must name a mount and a path: vault://MOUNT/PATH")
    return kind, name


def parsed(text: str | bytes) -> dict[str, Any]:
    """An object of JSON. Raises StoreError, which quotes nothing of it."""
    try:
        found = json.loads(text)
    except ValueError:
        raise StoreError("what it holds is no JSON") from None
    if not isinstance(found, dict):
        raise StoreError('what it holds is no object of JSON, such as {"JWT_SECRET": "…"}')
    return found
