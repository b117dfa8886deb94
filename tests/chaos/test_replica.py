"""A read replica: reads that may be stale go there, and to the primary while it is down."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from service.devservers import Postgres, Redis
from service.ids import uuid7
from tests.chaos.load import Ask, Load, Record, failed, figures
from tests.conftest import FAST
from tests.serving import Served, own_database
from tests.waiting import until

THREADS = 4
LIST = Ask("GET", "/stale")


@pytest.fixture
def replica(folder: Path) -> Iterator[Postgres]:
    """A second server, of other content, so that we see who answers."""
    with Postgres(folder / f"replica-{uuid4().hex}", options=FAST) as started:
        yield started


class Stale(Served):
    """web with a route more, whose answer may be stale: see stale.py."""

    def __init__(self, database_url: str, redis_url: str, **more: str) -> None:
        super().__init__(database_url, redis_url, **more)
        self.command = ["-m", "gunicorn", "tests.chaos.stale:app"]


def write_name(database_url: str, name: str) -> None:
    columns = "(id, email, name, password_hash, token_generation)"
    user = f"INSERT INTO users {columns} VALUES (%s, %s, %s, '', 0)"
    with psycopg.connect(database_url) as connection:
        connection.execute(user, [uuid7(), f"{uuid4().hex}@example.com", name])


def newest_name(served: Served) -> str:
    return served.request("GET", "/stale").body.decode()


def test_stale_reads_go_to_the_replica_and_to_the_primary_while_it_is_down(
    server: Postgres, replica: Postgres, redis_server: Redis, record_property: Record
) -> None:
    primary_url, replica_url = own_database(server), own_database(replica)
    urls = {"DATABASE_REPLICA_URL": replica_url, "WEB_CONCURRENCY": "1"}
    with Stale(primary_url, redis_server.url, WEB_THREADS=str(THREADS), **urls) as served:
        write_name(primary_url, "from the primary")
        write_name(replica_url, "from the replica")
        assert newest_name(served) == "from the replica"
        with Load(served.port, lambda: LIST, lambda: LIST._replace(keep_alive=False)) as load:
            load.wait_for_more()
            replica.stop()
            load.wait_for_more()
        assert newest_name(served) == "from the primary"
        figures(record_property, "the replica stops", load.outcomes)
        assert failed(load.outcomes) == []
        # Each thread met it once; nobody asks again for some seconds, and then it is back.
        tried = served.events("replica is down, the primary answers")
        assert 1 <= len(tried) <= THREADS
        replica.start()
        until(lambda: newest_name(served) == "from the replica")
