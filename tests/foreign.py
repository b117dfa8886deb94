"""Databases whose schema is at a revision that this code does not have."""

from uuid import uuid4

import psycopg

from service.devservers import Postgres

REVISION = "9999"


def of_newer_code(postgres: Postgres) -> str:
    """The URL of a database that a newer version has migrated."""
    url = postgres.create_database(f"newer_{uuid4().hex}")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num varchar)")
        connection.execute(f"INSERT INTO alembic_version VALUES ('{REVISION}')")
    return url


def of_other_code(postgres: Postgres) -> str:
    """The same of one that went there by revisions which are not ours (service/migrations.py)."""
    url = of_newer_code(postgres)
    with psycopg.connect(url) as connection:
        connection.execute(f"COMMENT ON TABLE alembic_version IS '9998 {REVISION}'")
    return url
