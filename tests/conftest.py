"""What every test may use: servers, the app, a transaction that is rolled back, people."""

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from service import migrations, passwords, storage, tokens
from service.app import create_app
from service.db import Database, Rows, Statement, run, session
from service.devservers import Postgres, Redis
from service.flags import Flag
from service.rows import Values
from service.sessions import Reading
from service.settings import Settings
from service.storage import Storage
from service.users.models import User
from service.variables import share
from tests import things
from tests.counted import empty
from tests.people import PASSWORD, Person
from tests.seaweed import BUCKET, KEY_ID, REGION, SECRET, Seaweed
from tests.sentry import sink

__all__ = ["sink"]  # a fixture
pytest_plugins = ["tests.workflows.table"]

# Python's own stops, or another process', are no sign of anything here.
hypothesis.settings.register_profile(
    "ours", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("ours")
JWT_SECRET = "a secret of the tests, as long as the longest algorithm would want it to be"
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    # Of nohup, which the programs of tests would inherit and keep to; handlers they do not inherit.
    signal.signal(signal.SIGHUP, lambda *_: None)


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder for servers. Not pytest's own: its path may be too long or not to be entered."""
    found = Path(tempfile.mkdtemp(prefix="service-tests-"))
    yield found
    shutil.rmtree(found, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(folder: Path) -> Iterator[Postgres]:
    with Postgres(folder / "postgres", options=FAST) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(folder: Path) -> Iterator[Redis]:
    with Redis(folder / "redis") as server:
        yield server


@pytest.fixture(scope="session")
def settings(postgres: Postgres, redis_server: Redis) -> Settings:
    """Settings of a database of the suite's own, migrated."""
    found = make_settings(postgres.create_database("suite"), redis_server.url)
    migrations.migrate(found)
    return found


def make_settings(database_url: str, redis_url: str, **changes: Any) -> Settings:
    """Settings that depend on nothing around the tests."""
    values: dict[str, Any] = {
        "app_env": "test",
        "database_url": SecretStr(database_url),
        "redis_url": SecretStr(redis_url),
        "jwt_secret": SecretStr(JWT_SECRET),
        "rate_limit_default": "1000000 per hour",
        "rate_limit_login": "1000000 per hour",
    }
    return Settings(_env_file=None, **(values | changes))


class RolledBack(Database):
    """The database as one transaction, in which every commit is a savepoint."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def session(self) -> Session:
        return Session(
            self._connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
        )

    def reading_session(self) -> Session:
        return Reading(self._connection)

    @contextmanager
    def apart(self) -> Iterator[Connection]:
        yield self._connection

    def fetch(self, statement: Statement, values: Values, stale: bool) -> Rows:
        return run(self._connection, statement, values)


@pytest.fixture(scope="session")
def shared_app(settings: Settings) -> Iterator[Flask]:
    found = create_app(settings)
    things.register(found)
    yield found
    found.extensions["database"].engine.dispose()


@pytest.fixture
def app(shared_app: Flask) -> Iterator[Flask]:
    """The app, in a transaction that ends with the test."""
    database: Database = shared_app.extensions["database"]
    empty(shared_app)
    with database.engine.connect().execution_options(
        isolation_level="READ COMMITTED"
    ) as connection:
        shared_app.extensions["database"] = RolledBack(connection)
        transaction = connection.begin()
        for table in ("jobs", "effects", "users"):  # of tests that really commit
            connection.execute(text(f"DELETE FROM {table}"))
        yield shared_app
        transaction.rollback()
    shared_app.extensions["database"] = database


@pytest.fixture
def set_flag(app: Flask) -> Iterator[Callable[[Flag, str], None]]:
    """Switches a flag, until the test ends: set_flag(NEW_EXPORT, "on")."""
    before = dict(app.extensions["flags"])
    yield lambda flag, text: app.extensions["flags"].update({flag.name: share(text)})
    app.extensions["flags"] = before


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client that is not signed in."""
    return app.test_client()


@pytest.fixture(scope="session")
def password_hash() -> str:
    """Made once: a good hash takes its time."""
    return passwords.hash(PASSWORD)


def _person(app: Flask, name: str, password_hash: str) -> Person:
    with app.app_context():
        user = User(email=f"{name}@example.com", name=name, password_hash=password_hash)
        session.add(user)
        session.commit()
        token, _ = tokens.issue(user.id, user.token_generation)
        return Person(app.test_client(), user.id, user.email, token)


@pytest.fixture
def alice(app: Flask, password_hash: str) -> Person:
    """Owns what the test is about."""
    return _person(app, "alice", password_hash)


@pytest.fixture
def bob(app: Flask, password_hash: str) -> Person:
    """Another user."""
    return _person(app, "bob", password_hash)


@pytest.fixture
def charlie(client: FlaskClient) -> FlaskClient:
    """A stranger."""
    return client


@pytest.fixture(scope="session")
def seaweed(folder: Path) -> Iterator[Seaweed]:
    with Seaweed(folder / "seaweed") as server:
        yield server


def _configure(app: Flask, settings: Settings, endpoint: str) -> Storage:
    changes = {
        "s3_bucket": BUCKET,
        "s3_region": REGION,
        "s3_endpoint_url": endpoint,
        "aws_access_key_id": SecretStr(KEY_ID),
        "aws_secret_access_key": SecretStr(SECRET),
    }
    storage.init_app(app, settings.model_copy(update=changes))
    return app.extensions["storage"]


@pytest.fixture
def bucket(app: Flask, settings: Settings) -> Iterator[Storage]:
    """A bucket whose server nobody asks."""
    yield _configure(app, settings, "https://s3.example.com")
    storage.init_app(app, settings)


@pytest.fixture
def real_bucket(app: Flask, settings: Settings, seaweed: Seaweed) -> Iterator[Storage]:
    """A bucket of a server that verifies signatures and policies."""
    yield _configure(app, settings, seaweed.url)
    storage.init_app(app, settings)


LONGEST = ("test_worker", "test_schemathesis", "test_commands", "test_dev", "test_migrations")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The modules that take longest come first, so that none is left over for the end."""
    names = [f"tests/{name}.py" for name in LONGEST]
    items.sort(key=lambda item: not item.nodeid.startswith(tuple(names)))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Tests run in random order: what failed is to be seen again."""
    if exitstatus and (seed := config.getoption("randomly_seed", None)):
        terminalreporter.write_line(f"in this order again: pytest --randomly-seed={seed}")
