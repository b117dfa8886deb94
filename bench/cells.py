"""What is asked of every server: each cell's requests, the same for all but token and author."""

import json
from dataclasses import dataclass

TITLE, BODY = (
    "A post of the benchmark, not a short one",
    ("Lorem ipsum dolor sit amet. " * 8).strip(),
)


@dataclass(frozen=True)
class Seed:
    """What the database holds: an author, that user's token, and the ids of the posts."""

    author_id: str
    token: str
    post_ids: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    name: str
    label: str
    method: str
    status: int


CELLS = (
    Cell("read", "read by key", "GET", 200),
    Cell("list", "list of 20", "GET", 200),
    Cell("insert", "insert", "POST", 201),
)


def paths(cell: Cell, seed: Seed) -> list[str]:
    """Return the paths that a cell asks for in turn."""
    if cell.name == "read":
        return [f"/api/posts/{post_id}" for post_id in seed.post_ids]
    return ["/api/posts?limit=20" if cell.name == "list" else "/api/posts"]


def body(cell: Cell, seed: Seed, signed_in: bool) -> bytes:
    """Return the JSON sent; who is not signed in names the author."""
    if cell.method == "GET":
        return b""
    author = {} if signed_in else {"author_id": seed.author_id}
    return json.dumps({"title": TITLE, "body": BODY} | author).encode()


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
