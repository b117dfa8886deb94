"""Processes while the password of their database changes, at a SIGHUP, and when one is replaced."""

import os
import signal
import time
from collections.abc import Iterator
from uuid import uuid4

import psutil
import psycopg
import pytest
from psycopg import sql
from redis import Redis as Client

from service.db import session
from service.devservers import Postgres, Redis
from service.outbox import enqueue
from service.rotation import FRESH
from service.users import jobs
from tests.children import Child, Logs
from tests.conftest import JWT_SECRET
from tests.serving import Served, own_database, variables
from tests.vault import ROOT_TOKEN, Vault, running
from tests.waiting import until
from tests.working import handing_over

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
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
        with psycopg.connect(owner_url, autocommit=True) as owner:
            # Again and again: one that has signed in just now has no name there yet.
            child.wait_for(lambda: owner.execute(query, (role,)) and told(child, "DATABASE_URL"))
        child.wait_for(lambda: connections(owner_url, role))


@pytest.mark.parametrize(("process", "ready"), PROCESSES.items())
def test_a_signal_has_every_process_read_again(
    process: str, ready: str, store: Vault, postgres: Postgres, redis_server: Redis
) -> None:
    url = own_database(postgres)
    store.secrets["app"] = held = holding(url, redis_server)
    with Logs(["-m", "service", process], environment(store), ready) as child:
        if process == "worker":  # its children have been forked, with what was known before
            until(lambda: waiting_for_work(redis_server) == 2)
        store.secrets["app"] = held | {"JWT_SECRET": uuid4().hex * 2}
        child.process.send_signal(signal.SIGHUP)
        expected = 3 if process == "worker" else 1  # the parent and two children
        child.wait_for(lambda: told(child, "JWT_SECRET") == expected)
        if process == "worker":
            until(lambda: runs_a_job(url, redis_server))
        assert child.stop() == 0


def test_a_worker_does_not_wait_for_a_store_that_is_slow(
    store: Vault, postgres: Postgres, redis_server: Redis
) -> None:
    """Its parent goes on with what it owes the children, and stops when it is told to."""
    store.secrets["app"] = held = holding(own_database(postgres), redis_server)
    with Logs(["-m", "service", "worker"], environment(store), "worker started") as child:
        asked = len(store.asked)
        store.faults += [20.0] * 100
        store.secrets["app"] = held | {"JWT_SECRET": uuid4().hex * 2}
        child.process.send_signal(signal.SIGHUP)
        until(lambda: len(store.asked) >= asked + 3)  # the parent and two children
        began = time.monotonic()
        assert child.stop() == 0
        assert time.monotonic() - began < 8  # the store is asked three times, for 3 s


def test_a_child_that_takes_another_s_place_has_the_newest(
    store: Vault, postgres: Postgres, redis_server: Redis
) -> None:
    """By the parent, which reads for it: nobody else does, with SECRETS_REFRESH off."""
    url = own_database(postgres)
    store.secrets["app"] = held = holding(url, redis_server)
    given = environment(store) | {"WORKER_CONCURRENCY": "1", "SECRETS_REFRESH": "off"}
    with Logs(["-m", "service", "worker"], given, "worker started") as child:
        until(lambda: children(child))
        store.secrets["app"] = held | {"JWT_SECRET": uuid4().hex * 2}
        time.sleep(FRESH)
        replace(child)
        assert told(child, "JWT_SECRET") == 1
        time.sleep(FRESH)
        store.faults += [503] * 100
        replace(child)  # though there is no store
        until(lambda: runs_a_job(url, redis_server))


def test_a_web_worker_that_takes_another_s_place_has_the_newest(
    store: Vault, postgres: Postgres, redis_server: Redis
) -> None:
    store.secrets["app"] = held = holding(own_database(postgres), redis_server)
    given = environment(store) | {"WEB_CONCURRENCY": "1", "SECRETS_REFRESH": "off"}
    with Served("", "", **given) as web:
        leaked = signed_in(web)
        store.secrets["app"] = held | {"JWT_SECRET": uuid4().hex * 2}
        time.sleep(FRESH)
        assert status(web, leaked) == 200  # the control: without a reading it is good
        replace(web)
        until(web.is_ready)
        assert status(web, leaked) == 401


def test_nothing_brings_back_an_old_secret_while_there_is_no_store(
    store: Vault, postgres: Postgres, redis_server: Redis
) -> None:
    """What the master was started with is weeks old, and may have leaked since."""
    store.secrets["app"] = held = holding(own_database(postgres), redis_server)
    given = environment(store) | {"WEB_CONCURRENCY": "1", "SECRETS_REFRESH": "1s"}
    with Served("", "", **given) as web:
        leaked = signed_in(web)
        store.secrets["app"] = held | {"JWT_SECRET": uuid4().hex * 2}
        until(lambda: len([line for line in web.lines if "changed: JWT_SECRET" in line]) == 2)
        store.faults += [503] * 1000
        assert status(web, leaked) == 401
        good = signed_in(web)
        replace(web)
        until(web.is_ready)
        assert (status(web, leaked), status(web, good)) == (401, 200)
        (before,) = children(web)
        web.process.send_signal(signal.SIGHUP)
        until(lambda: children(web) and before not in children(web), seconds=30)
        until(web.is_ready)
        assert (status(web, leaked), status(web, good)) == (401, 200)
        assert any("nothing is read again" in line for line in web.lines)


def children(of: Child) -> set[int]:
    return {each.pid for each in psutil.Process(of.process.pid).children()}


def replace(of: Child) -> None:
    """Kill its only child, and wait for another one."""
    (before,) = until(lambda: children(of))
    os.kill(before, signal.SIGKILL)
    until(lambda: children(of) - {before}, seconds=20)


def signed_in(web: Served) -> str:
    body = {"email": f"{uuid4().hex}@example.com", "password": "long enough to be good"}
    assert web.request("POST", "/api/users", body).status == 201
    return str(web.request("POST", "/api/auth/login", body).json()["access_token"])


def status(web: Served, token: str) -> int:
    return web.request("GET", "/api/users/me", None, {"Authorization": f"Bearer {token}"}).status


def holding(url: str, redis: Redis) -> dict[str, str]:
    return {"DATABASE_URL": url, "REDIS_URL": redis.url, "JWT_SECRET": JWT_SECRET}


def runs_a_job(url: str, redis: Redis) -> bool:
    with handing_over(url, redis.url) as app, app.app_context():
        id = enqueue(session, jobs.welcome, uuid4())  # nobody: it succeeds and does nothing
        session.commit()
        query = "SELECT status FROM jobs WHERE id = %s"
        with psycopg.connect(url, autocommit=True) as asked:
            until(lambda: asked.execute(query, (id,)).fetchone() == ("succeeded",))
    return True


def waiting_for_work(redis: Redis) -> int:
    """How many processes wait for a job of a queue."""
    with Client.from_url(redis.url) as client:
        return sum(each["cmd"] == "blpop" for each in client.client_list())


def environment(store: Vault) -> dict[str, str]:
    known = {"SECRETS_FROM": "vault://kv/app", "VAULT_ADDR": store.url, "VAULT_TOKEN": ROOT_TOKEN}
    return {**variables("", ""), "JWT_SECRET": "", "WORKER_CONCURRENCY": "2", **known}


def keep(store: Vault, owner_url: str, role: str, word: str, redis: Redis) -> None:
    url = f"postgresql://{role}:{word}@{owner_url.partition('@')[2]}"
    store.secrets["app"] = holding(url, redis)


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
