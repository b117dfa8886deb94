"""Rows of the sample, to be read: each as large as those that the benchmark inserts."""

import psycopg

from bench.cells import BODY, TITLE

POSTS = 1_000


def fill(connection: psycopg.Connection, author_id: str) -> list[str]:
    """Insert POSTS rows; return their ids."""
    rows = connection.execute(
        "INSERT INTO posts (id, author_id, title, body, created_at, updated_at)"
        " SELECT gen_random_uuid(), %s, %s, %s, now(), now() FROM generate_series(1, %s)"
        " RETURNING id",
        (author_id, TITLE, BODY, POSTS),
    ).fetchall()
    connection.execute("ANALYZE posts")
    return [str(row[0]) for row in rows]
