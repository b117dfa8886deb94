"""Worker and scheduler while the password of their database changes, and at a SIGHUP."""

import signal
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from service.app import create_app
from service.db import session
from service.devservers import Postgres, Redis
from service.outbox import enqueue
from service.users import jobs
from tests.children import Logs
from tests.conftest import JWT_SECRET, make_settings
from tests.serving import own_database, variables
from tests.vault import ROOT_TOKEN, Vault, running
from tests.waiting import until

PROCESSES = {"worker": "worker started", "scheduler": "scheduler leads"}


@pytest.fixture
def store() -> Iterator[Vault]:
    with running() as started:
        yield started


@pytest.mark.parametrize(("process", "ready"), PROCESSES.items())
def test_a_process_goes_on_with_another_password(
    process: str, ready: str, store: Vault, postgres: Postgres, redis_server: Redis
) -> None:
    """Its open connections are ended, so that it needs new ones; nobody tells it why."""
    owner_url, role = own_database(postgres), f"role_{uuid4().hex}"
    say(owner_url, "CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}", role, "first")
    keep(store, owner_url, role, "first", redis_server)
    with Logs(["-m", "service", process], environment(store), ready) as child:
        say(owner_url, "ALTER ROLE {} PASSWORD {}", role, "second")
        keep(store, owner_url, role, "second", redis_server)
        with psycopg.connect(owner_url, autocommit=True) as owner:
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
            owner.execute(query, (role,))
        child.wait_for(lambda: told(child, "DATABASE_URL"))
        child.wait_for(lambda: connections(owner_url, role))


@pytest.mark.parametrize(("process", "ready"), PROCESSES.items())
def test_a_signal_has_every_process_read_again(
    process: str, ready: str, store: Vault, postgres: Postgres, redis_server: Redis
) -> None:
    url = own_database(postgres)
    held = {"DATABASE_URL": url, "REDIS_URL": redis_server.url, "JWT_SECRET": JWT_SECRET}
    store.secrets["app"] = held
    with Logs(["-m", "service", process], environment(store), ready) as child:
        store.secrets["app"] = held | {"JWT_SECRET": uuid4().hex * 2}
        child.process.send_signal(signal.SIGHUP)
        expected = 3 if process == "worker" else 1  # the parent and two children
        child.wait_for(lambda: told(child, "JWT_SECRET") == expected)
        if process == "worker":
            until(lambda: runs_a_job(url, redis_server))
        assert child.stop() == 0


def runs_a_job(url: str, redis: Redis) -> bool:
    app = create_app(make_settings(url, redis.url), "tests")
    with app.app_context():
        id = enqueue(session, jobs.welcome, uuid4())  # nobody: it succeeds and does nothing
        session.commit()
        query = "SELECT status FROM jobs WHERE id = %s"
        with psycopg.connect(url, autocommit=True) as asked:
            until(lambda: asked.execute(query, (id,)).fetchone() == ("succeeded",))
    app.extensions["handover"].close()
    app.extensions["database"].engine.dispose()
    return True


def environment(store: Vault) -> dict[str, str]:
    known = {"SECRETS_FROM": "vault://kv/app", "VAULT_ADDR": store.url, "VAULT_TOKEN": ROOT_TOKEN}
    return {**variables("", ""), "JWT_SECRET": "", "WORKER_CONCURRENCY": "2", **known}


def keep(store: Vault, owner_url: str, role: str, word: str, redis: Redis) -> None:
    url = f"postgresql://{role}:{word}@{owner_url.partition('@')[2]}"
    held = {"DATABASE_URL": url, "REDIS_URL": redis.url, "JWT_SECRET": JWT_SECRET}
    store.secrets["app"] = held


def say(owner_url: str, statement: str, role: str, word: str) -> None:
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute(sql.SQL(statement).format(sql.Identifier(role), sql.Literal(word)))


def told(child: Logs, name: str) -> int:
    return len(child.events(f"secrets have changed: {name}"))


def connections(owner_url: str, role: str) -> int:
    with psycopg.connect(owner_url, autocommit=True) as owner:
        query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
        found = owner.execute(query, (role,)).fetchone()
    assert found is not None
    return int(found[0])
