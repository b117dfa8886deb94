"""What the servers stand on: PostgreSQL, Redis, a Sentry sink, a migrated, filled database."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import psycopg

from bench import sink
from bench.cells import Seed
from bench.rows import fill  # sample
from bench.server import ServerError, running
from bench.variants import OURS, ROOT, Urls
from service.devservers import Postgres, Redis

EMAIL, PASSWORD = "bench@example.com", "correct horse battery staple"


@dataclass(frozen=True)
class World:
    folder: Path
    urls: Urls
    seed: Seed
    sink: sink.Sink
    postgres_version: str
    postgres_pid: int


@contextlib.contextmanager
def built() -> Iterator[World]:
    """Build everything in a temporary folder and take it away again."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name,
        # Whether a commit waits for the disk is the database's time, not the servers' CPU.
        Postgres(Path(name) / "postgres", options={"synchronous_commit": "off"}) as postgres,
        Redis(Path(name) / "redis") as redis,
        sink.listening() as sentry,
    ):
        if (ROOT / ".env").exists():
            print("bench: the service also reads your .env", file=sys.stderr)
        folder, urls = Path(name), Urls(postgres.url, redis.url, sentry.dsn, sentry.url)
        migrate(urls)
        author_id, token = sign_up(urls, folder)
        with psycopg.connect(urls.database.replace("+psycopg", ""), autocommit=True) as connection:
            version = connection.execute("SHOW server_version").fetchone()
            seed = Seed(author_id, token)
            # sample
            seed = Seed(author_id, token, tuple(fill(connection, author_id)))
            # end of sample
        assert postgres.process is not None
        assert version is not None
        yield World(folder, urls, seed, sentry, str(version[0]), postgres.process.pid)


def migrate(urls: Urls) -> None:
    command = [sys.executable, "-m", "service", "migrate"]
    environment = OURS.environment(urls, port=8000)
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ServerError(f"migrate exited {done.returncode}:\n{done.stdout}{done.stderr}")


def sign_up(urls: Urls, folder: Path) -> tuple[str, str]:
    """Return the id and the token of a new user, made through the API."""
    with running(OURS, urls, folder) as ours:
        account = {"email": EMAIL, "password": PASSWORD}
        user = post(ours.port, "/api/users", account, 201)
        return user["id"], post(ours.port, "/api/auth/login", account, 200)["access_token"]


def post(port: int, path: str, data: dict[str, str], status: int) -> dict[str, str]:
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", path, json.dumps(data), {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
        if response.status != status:
            raise ServerError(f"POST {path}: {response.status} {content.decode()}")
        answer: dict[str, str] = json.loads(content)
        return answer
