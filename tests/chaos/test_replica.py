"""A read replica: reads that may be stale go there, and to the primary while it is down."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from service.devservers import Postgres, Redis
from service.ids import uuid7
from tests.chaos.load import Load, Record, failed, figures
from tests.chaos.traffic import Traffic
from tests.conftest import FAST
from tests.serving import Served, own_database
from tests.waiting import until

THREADS = 4


@pytest.fixture
def replica(folder: Path) -> Iterator[Postgres]:
    """A second server, of other content, so that we see who answers."""
    with Postgres(folder / f"replica-{uuid4().hex}", options=FAST) as started:
        yield started


def write_title(database_url: str, title: str) -> None:
    author = uuid7()
    with psycopg.connect(database_url) as connection:
        user = (
            "INSERT INTO users (id, email, password_hash, token_generation) VALUES (%s, %s, '', 0)"
        )
        connection.execute(user, [author, title])
        post = "INSERT INTO posts (id, author_id, title, body) VALUES (%s, %s, %s, '')"
        connection.execute(post, [uuid7(), author, title])


def newest_title(served: Served) -> str:
    return str(served.request("GET", "/api/posts").json()["items"][0]["title"])


def test_stale_reads_go_to_the_replica_and_to_the_primary_while_it_is_down(
    server: Postgres, replica: Postgres, redis_server: Redis, record_property: Record
) -> None:
    primary_url, replica_url = own_database(server), own_database(replica)
    urls = {"DATABASE_REPLICA_URL": replica_url, "WEB_CONCURRENCY": "1"}
    with Served(primary_url, redis_server.url, WEB_THREADS=str(THREADS), **urls) as served:
        traffic = Traffic(served)
        write_title(primary_url, "from the primary")
        write_title(replica_url, "from the replica")
        assert newest_title(served) == "from the replica"
        with Load(served.port, traffic.list_posts, traffic.show_post) as load:
            load.wait_for_more()
            replica.stop()
            load.wait_for_more()
        assert newest_title(served) == "from the primary"
        figures(record_property, "the replica stops", load.outcomes)
        assert failed(load.outcomes) == []
        # Each thread met it once; nobody asks again for some seconds, and then it is back.
        tried = served.events("replica is down, the primary answers")
        assert 1 <= len(tried) <= THREADS
        replica.start()
        until(lambda: newest_title(served) == "from the replica")
