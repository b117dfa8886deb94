"""What is asked of every server: each cell's requests, the same for all but token and author.

Add a route of yours: a Cell, the same route in baseline.py, and rows to read in rows.py.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

# sample
TITLE, BODY = (
    "A post of the benchmark, not a short one",
    ("Lorem ipsum dolor sit amet. " * 8).strip(),
)
# end of sample


@dataclass(frozen=True)
class Seed:
    """What the database holds: an author, that user's token, and the ids of rows to read."""

    author_id: str
    token: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    name: str
    label: str
    method: str
    status: int
    path: str  # {id} is each of the rows in turn
    sends: Mapping[str, str] = field(default_factory=dict)


CELLS: tuple[Cell, ...] = (
    # sample
    Cell("read", "read by key", "GET", 200, "/api/posts/{id}"),
    Cell("list", "list of 20", "GET", 200, "/api/posts?limit=20"),
    Cell("insert", "insert", "POST", 201, "/api/posts", {"title": TITLE, "body": BODY}),
    # end of sample
)


def paths(cell: Cell, seed: Seed) -> list[str]:
    """Return the paths that a cell asks for in turn."""
    if "{id}" in cell.path:
        return [cell.path.replace("{id}", id) for id in seed.ids]
    return [cell.path]


def body(cell: Cell, seed: Seed, signed_in: bool) -> bytes:
    """Return the JSON sent; who is not signed in names the author."""
    if cell.method == "GET":
        return b""
    author = {} if signed_in else {"author_id": seed.author_id}
    return json.dumps({**cell.sends, **author}).encode()


def headers(cell: Cell, seed: Seed, signed_in: bool) -> dict[str, str]:
    content = body(cell, seed, signed_in)
    return (
        {"Host": "127.0.0.1", "User-Agent": "bench", "Accept": "application/json"}
        | ({"Authorization": f"Bearer {seed.token}"} if signed_in else {})
        | (
            {"Content-Type": "application/json", "Content-Length": str(len(content))}
            if content
            else {}
        )
    )


def requests(cell: Cell, seed: Seed, signed_in: bool) -> list[bytes]:
    """Return a cell's requests as they go over the wire."""
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers(cell, seed, signed_in).items())
    content = body(cell, seed, signed_in)
    return [
        f"{cell.method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + content
        for path in paths(cell, seed)
    ]
