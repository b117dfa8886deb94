"""Before anything is measured: every server answers what B answers, and an insert is in the table.

A server that does less than the others would be the fastest.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg  # sample

from bench.cells import CELLS, Cell, requests
from bench.client import Connection, Tally
from bench.measure import say
from bench.server import Server, ServerError, running
from bench.variants import BASELINE, Variant
from bench.world import World

MADE = ("id", "created_at", "updated_at")  # by each server for itself


def checked(world: World, variants: Sequence[Variant]) -> None:
    """Ask each of the variants what B is asked. Raises ServerError, naming who differs in what."""
    with running(BASELINE, world.urls, world.folder) as base:
        for variant in variants:
            with running(variant, world.urls, world.folder) as server:
                if wrong := list(disagreements(world, base, server)):
                    raise ServerError(f"{variant.name} does not answer as B: {'; '.join(wrong)}")
    say(f"{', '.join(v.name for v in variants)}: all answer as B does")


def disagreements(world: World, base: Server, server: Server) -> Iterator[str]:
    for cell in CELLS:
        expected, found = (answer(each, cell, world) for each in (base, server))
        for difference in differences(expected, found, made=cell.method != "GET"):
            yield f"{cell.label}: {difference}"
        # sample
        if cell.method == "POST":
            yield from (f"{cell.label}: {each}" for each in unwritten(world, cell, found))
        # end of sample


def answer(server: Server, cell: Cell, world: World) -> Any:
    """What it answers to the cell's first request. Raises ServerError for another status."""
    sent = requests(cell, world.seed, server.variant.signed_in)[0]
    connection = Connection(server.port, Tally())
    with contextlib.closing(connection):
        got = connection.ask(sent)
    if got.status != cell.status:
        raise ServerError(f"{server.variant.name}, {cell.label}: {got.status} {got.body[:300]!r}")
    return json.loads(got.body)


def differences(expected: Any, found: Any, made: bool = False, at: str = "") -> Iterator[str]:
    """Where an answer is not the expected one: times may be spelt otherwise, a list may have a
    cursor; what is `made` anew has a value of the same kind."""
    if isinstance(expected, dict) and isinstance(found, dict):
        names = [name for name in found if (at, name) != ("", "next_cursor")]
        if sorted(expected) != sorted(names):
            yield f"{at or 'the answer'} has {sorted(names)}, not {sorted(expected)}"
            return
        for name, value in expected.items():
            inner = f"{at}.{name}".strip(".")
            yield from differences(value, found[name], made and name in MADE, inner)
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            yield f"{at} has {len(found)} items, not {len(expected)}"
        for i, (one, other) in enumerate(zip(expected, found, strict=False)):
            yield from differences(one, other, made, f"{at}[{i}]")
    elif type(read(expected)) is not type(read(found)):
        yield f"{at} is {found!r}, not of the kind of {expected!r}"
    elif not made and read(expected) != read(found):
        yield f"{at} is {found!r}, not {expected!r}"


def read(value: Any) -> Any:
    """A time as a time and an id as an id, however it is spelt."""
    for kind in (UUID, datetime.fromisoformat):
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            return kind(value)
    return value


# sample
def unwritten(world: World, cell: Cell, found: Any) -> Iterator[str]:
    """What of an insert is not in the table."""
    with psycopg.connect(world.urls.database, autocommit=True) as connection:
        row = connection.execute(
            "SELECT author_id, title, body FROM posts WHERE id = %s", (found["id"],)
        ).fetchone()
    wanted = (UUID(world.seed.author_id), cell.sends["title"], cell.sends["body"])
    if row != wanted:
        yield f"the table has {row}, not {wanted}"


# end of sample
