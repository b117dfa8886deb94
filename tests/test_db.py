"""The database: a pool whose connections die and are not shared; sessions that read or write."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import Integer, bindparam, delete, func, insert, select, text, update
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service import db
from service.app import create_app
from service.db import fetch, session
from service.devservers import Postgres, Redis
from service.engine import IDLE_BEFORE_LOOK, make_engine
from service.environment import ROOT
from service.rows import Prepared
from service.settings import Settings
from service.users.models import User
from tests import things
from tests.children import surroundings
from tests.conftest import make_settings
from tests.serving import own_database

PID = text("SELECT pg_backend_pid()")
NAME = select(func.current_database())
BY_EMAIL = select(User).where(User.email == bindparam("email"))


@contextmanager
def engine_with(settings: Settings, **changes: Any) -> Iterator[Engine]:
    engine = make_engine(settings.database_url, settings.model_copy(update=changes), "test")
    yield engine
    engine.dispose()


@pytest.fixture
def client(settings: Settings) -> Iterator[FlaskClient]:
    """A client of an app with one connection to the suite's database, and no transaction."""
    one = {"database_pool_size": 1, "database_pool_max": 1}
    app = create_app(settings.model_copy(update=one))
    things.register(app)
    yield app.test_client()
    engine_of(app).dispose()


def engine_of(app: Flask) -> Engine:
    engine: Engine = app.extensions["database"].engine
    return engine


def end(postgres: Postgres, pid: int) -> None:
    """End a connection from the server's side, as a restart does."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        assert connection.execute("SELECT pg_terminate_backend(%s, 5000)", [pid]).fetchone()


def pid_of_the_pool(engine: Engine, idle: float = 0) -> int:
    """The server's process behind the pool's one connection, which then has been idle so long."""
    with engine.connect() as connection:
        connection.info["used_at"] -= idle
        return int(connection.execute(PID).scalar_one())


@pytest.mark.parametrize(
    ("name", "value"),
    [("statement_timeout", "15s"), ("application_name", "service test")],
)
def test_a_connection_is_set_up(settings: Settings, name: str, value: str) -> None:
    with engine_with(settings) as engine, engine.connect() as connection:
        assert connection.execute(text(f"SHOW {name}")).scalar_one() == value


@pytest.mark.parametrize("prepared", [True, False])
def test_statements_are_prepared_unless_pgbouncer_forbids_it(
    settings: Settings, prepared: bool
) -> None:
    with (
        engine_with(settings, database_prepared_statements=prepared) as engine,
        engine.connect() as connection,
    ):
        for _ in range(10):
            connection.execute(PID)
        found = connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one()
    assert (found > 0) == prepared


def test_an_idle_connection_that_was_closed_is_replaced(
    postgres: Postgres, settings: Settings
) -> None:
    with engine_with(settings) as engine:
        old = pid_of_the_pool(engine, idle=2)
        end(postgres, old)
        assert pid_of_the_pool(engine) != old


def test_a_connection_that_was_idle_for_long_is_asked_and_kept(settings: Settings) -> None:
    with engine_with(settings) as engine:
        assert pid_of_the_pool(engine, idle=60) == pid_of_the_pool(engine)


def test_a_read_whose_connection_is_closed_is_tried_again(
    postgres: Postgres, client: FlaskClient
) -> None:
    end(postgres, pid_of_the_pool(engine_of(client.application)))
    assert client.get("/things").status_code == 200


def test_a_write_whose_connection_is_closed_is_503_and_the_next_one_works(
    postgres: Postgres, client: FlaskClient
) -> None:
    # Used a moment ago, however long this takes: the pool would look at one that was idle.
    end(postgres, pid_of_the_pool(engine_of(client.application), idle=-60))
    account = {"email": f"{uuid4().hex}@example.com", "password": "nobody knows"}
    response = client.post("/api/auth/login", json=account)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert client.post("/api/auth/login", json=account).status_code == 401


def test_a_full_pool_is_503(client: FlaskClient) -> None:
    engine = engine_of(client.application)
    engine.pool._timeout = 0.05  # type: ignore[attr-defined]
    with engine.connect():
        response = client.get("/things")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert client.get("/things").status_code == 200


def test_a_pool_opens_no_more_than_its_most(settings: Settings) -> None:
    with engine_with(settings, database_pool_size=1, database_pool_max=2) as engine:
        engine.pool._timeout = 0.05  # type: ignore[attr-defined]
        with engine.connect(), engine.connect(), pytest.raises(PoolTimeoutError):
            engine.connect()


def databases(settings: Settings, replica: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which database answers: a read that may be stale, another one, the first again."""
    monkeypatch.setattr("service.engine.CONNECT_TIMEOUT", 30)
    url = settings.database_url.get_secret_value()
    changes = {"database_replica_url": SecretStr(url.rpartition("/")[0] + replica)}
    with create_app(settings.model_copy(update=changes)).app_context():
        found = db.database()
        reads = [found.fetch(NAME, {}, stale)[0][0] for stale in (True, False, True)]
        for engine in filter(None, (found.engine, found._replica)):
            engine.dispose()
    return reads


def test_reads_that_may_be_stale_are_of_the_replica(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert databases(settings, "/postgres", monkeypatch) == ["postgres", "suite", "postgres"]


def test_the_primary_answers_for_a_replica_that_is_down(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert databases(settings, "/not_there", monkeypatch) == ["suite", "suite", "suite"]


FORK = """
import json, os, sys
from sqlalchemy import text
from service.db import Database
from service.engine import make_engine
from service.settings import Settings

settings = Settings.load()
if sys.argv[1] == "the service":
    database = Database(settings, "test")
    engine = database.engine
else:
    engine = make_engine(settings.database_url, settings, "test")

def pid():
    with engine.connect() as connection:
        return connection.execute(text("SELECT pg_backend_pid()")).scalar_one()

parent = pid()
if (child := os.fork()) == 0:
    os._exit(pid() == parent)
_, status = os.waitpid(child, 0)
print(json.dumps({"shared": bool(status), "kept": pid() == parent}))
"""


@pytest.mark.parametrize(
    ("who", "shared"), [("the service", False), pytest.param("bare", True, id="the control")]
)
def test_no_connection_is_shared_across_a_fork(settings: Settings, who: str, shared: bool) -> None:
    """In a process of its own: this one has threads, which do not go with a fork."""
    env = surroundings() | {
        "APP_ENV": "test",
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "JWT_SECRET": "x" * 32,
    }
    command = [sys.executable, "-c", FORK, who]
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=30)
    assert json.loads(ended.stdout) == {"shared": shared, "kept": True}, ended.stderr


def test_a_get_does_not_write_unless_it_begins_a_transaction(app: Flask) -> None:
    user = User(email="dora@example.com", password_hash="")
    with app.test_request_context("/"):
        session.add(user)
        with pytest.raises(RuntimeError, match="a GET only reads"):
            session.flush()
        db.begin()
        session.add(User(email="dora@example.com", password_hash=""))
        session.commit()
        assert fetch(BY_EMAIL, email="dora@example.com")[0].email == "dora@example.com"


@pytest.mark.parametrize(
    "write",
    [
        lambda: db.insert(User, email="dora@example.com", password_hash=""),
        lambda: session.execute(text("DELETE FROM users")),
        lambda: session.execute(delete(User)),
        lambda: session.execute(update(User).values(name="x")),
        lambda: session.execute(insert(User).values(email="x", password_hash="")),
    ],
)
def test_a_get_has_no_way_to_write(settings: Settings, write: Callable[[], object]) -> None:
    app = create_app(settings)
    with app.test_request_context("/"), pytest.raises((RuntimeError, DBAPIError)):
        write()
    engine_of(app).dispose()


def test_a_get_may_ask_in_words(app: Flask) -> None:
    with app.test_request_context("/"):
        assert session.execute(text("SELECT 1")).scalar_one() == 1


def test_a_savepoint_holds_rows_too(postgres: Postgres, redis_server: Redis) -> None:
    app = create_app(make_settings(own_database(postgres), redis_server.url))
    email = "dora@example.com"
    with app.test_request_context("/", method="POST"):
        with suppress(ZeroDivisionError), session.begin_nested():
            db.insert(User, email=email, password_hash="")
            _ = 1 / 0
        db.insert(User, email=f"kept-{email}", password_hash="")
        session.commit()
    with app.test_request_context("/"):
        assert fetch(BY_EMAIL, email=email) == []
        assert len(fetch(BY_EMAIL, email=f"kept-{email}")) == 1
    engine_of(app).dispose()


def test_a_get_that_writes_is_not_run_again(settings: Settings, postgres: Postgres) -> None:
    app, runs = create_app(settings), []

    @app.get("/writes")
    def writes() -> str:
        runs.append(1)
        db.begin()
        end(postgres, session.execute(PID).scalar_one())
        session.execute(PID)
        return ""

    assert (app.test_client().get("/writes").status_code, len(runs)) == (503, 1)
    engine_of(app).dispose()


def test_many_open_files_do_not_matter(settings: Settings) -> None:
    """select(2) cannot look at descriptors over 1023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        with ExitStack() as stack, engine_with(settings) as engine:
            for _ in range(1100):
                stack.enter_context(Path(os.devnull).open())
            pid = pid_of_the_pool(engine, idle=IDLE_BEFORE_LOOK)
            assert pid_of_the_pool(engine) == pid
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_large_result_does_not_stay_in_memory(settings: Settings) -> None:
    many = Prepared(select(func.generate_series(bindparam("a", type_=Integer), 100).label("n")))
    with engine_with(settings) as engine, engine.connect() as connection:
        assert len(many.run(connection, {"a": 1})) == 100
        assert many not in connection.info
        assert len(many.run(connection, {"a": 90})) == 11
        assert many in connection.info


def test_what_was_not_committed_is_rolled_back(app: Flask) -> None:
    with app.test_request_context("/", method="POST"):
        session.add(User(email="dora@example.com", password_hash=""))
        session.flush()
    with app.test_request_context("/"):
        assert fetch(BY_EMAIL, email="dora@example.com") == []


def test_rows_have_the_columns_of_the_model_and_are_no_objects(app: Flask) -> None:
    with app.test_request_context("/", method="POST"):
        session.add(User(email="dora@example.com", password_hash=""))
        (row,) = fetch(BY_EMAIL, email="dora@example.com")  # in a write: what was added is seen
        assert row._fields == tuple(User.__table__.columns.keys())
        assert not isinstance(row, User)
