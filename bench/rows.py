"""Rows of the sample, to be read: each as large as those that the benchmark inserts."""

import contextlib
from collections.abc import Iterator

import psycopg

from bench.cells import BODY, TITLE

POSTS = 1_000


@contextlib.contextmanager
def only(url: str, author_id: str, posts: int) -> Iterator[list[str]]:
    """So many rows and no others; then again what was there. Gives at most POSTS of their ids."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS TABLE posts")
        connection.execute("TRUNCATE posts")
        try:
            yield fill(connection, author_id, posts)[:POSTS]
        finally:
            connection.execute("TRUNCATE posts")
            connection.execute("INSERT INTO posts TABLE kept")
            connection.execute("DROP TABLE kept")


def fill(connection: psycopg.Connection, author_id: str, posts: int = POSTS) -> list[str]:
    """Insert so many rows; return their ids."""
    rows = connection.execute(
        "INSERT INTO posts (id, author_id, title, body, created_at, updated_at)"
        " SELECT gen_random_uuid(), %s, %s, %s, now(), now() FROM generate_series(1, %s)"
        " RETURNING id",
        (author_id, TITLE, BODY, posts),
    ).fetchall()
    connection.execute("VACUUM ANALYZE posts")
    return [str(row[0]) for row in rows]
