"""Jobs that leave a record in PostgreSQL, and the same ones as a naive project writes them."""

import io
import os
import signal
import time

import psycopg
from sqlalchemy import text

from service.db import session
from service.queue import job
from service.storage import files

TABLE = "CREATE TABLE IF NOT EXISTS records (kind text, key text, at timestamptz DEFAULT now())"
RECORD = "INSERT INTO records (kind, key) VALUES ('{kind}', {key})"
SECONDS = 0.03  # that a job takes


@job(backoff=0.3, attempts=5, timeout=20)
def record(key: str, seconds: float = SECONDS) -> None:
    """Half of the time before the record is written, half of it after."""
    time.sleep(seconds / 2)
    session.execute(text(RECORD.format(kind="ours", key=":key")), {"key": key})
    time.sleep(seconds / 2)


@job(queue="low", attempts=5, backoff=30)
def store(key: str) -> None:
    """Needs S3."""
    files().put(f"records/{key}", io.BytesIO(key.encode()), "text/plain")


@job(backoff=0.3, timeout=20)
def poison(key: str) -> None:
    """Takes its process with it."""
    session.execute(text(RECORD.format(kind="ours", key=":key")), {"key": key})
    session.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def naive(key: str, seconds: float = SECONDS) -> None:
    """What is handed to plain RQ after the commit."""
    with psycopg.connect(os.environ["RECORDS_URL"], application_name="naive") as connection:
        time.sleep(seconds)
        connection.execute(RECORD.format(kind="naive", key="%s"), (key,))
