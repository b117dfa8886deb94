"""Secrets that are rotated under 8 clients who keep their connections: what these see of it."""

import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import psutil
import psycopg
import pytest
from psycopg import sql
from redis import Redis as Client

import tests.amazon
from service.devservers import Postgres, Redis
from tests.amazon import Amazon
from tests.chaos.load import Load, Record, failed, figures
from tests.chaos.traffic import Traffic
from tests.conftest import JWT_SECRET
from tests.serving import Served, own_database
from tests.vault import ROOT_TOKEN, Vault, running
from tests.waiting import until

CLIENTS = 8
LATER = 0.5  # seconds from the server's new password to the store's; AWS' own rotation takes some
# Connections are made and closed all the time: of the four that a process needs it keeps one.
POOL = {"DATABASE_POOL_SIZE": "1", "WEB_THREADS": "4"}


class Store(Protocol):
    """Where secrets are kept, and what the service is told of it."""

    variables: Mapping[str, str]

    def keep(self, values: dict[str, str]) -> None: ...


class OfVault:
    """The stand-in."""

    def __init__(self, server: Vault) -> None:
        self.server = server
        self.variables = {
            "SECRETS_FROM": "vault://kv/app",
            "VAULT_ADDR": server.url,
            "VAULT_TOKEN": ROOT_TOKEN,
        }

    def keep(self, values: dict[str, str]) -> None:
        self.server.secrets["app"] = values


class OfAmazon:
    """moto's server."""

    def __init__(self, server: Amazon) -> None:
        self._server, self._name = server, f"app/{uuid4().hex}"
        where = f"aws-secrets-manager://{self._name}"
        self.variables = {"SECRETS_FROM": where, **server.variables}

    def keep(self, values: dict[str, str]) -> None:
        self._server.put(self._name, values)


class Rotated:
    """A role of PostgreSQL whose password changes, a Redis of its own, and the store of both."""

    def __init__(self, store: Store, postgres: Postgres, redis: Redis) -> None:
        self.redis = redis
        self._store = store
        self._kept: dict[str, str] = {}
        self.role = f"role_{uuid4().hex}"
        self._owner_url = own_database(postgres)
        self._say("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}", "first")
        self.first_url = self._url("first")
        self.keep(DATABASE_URL=self.first_url, REDIS_URL=redis.url, JWT_SECRET=JWT_SECRET)

    def served(self, **more: str) -> Served:
        """web, which has nothing but where its secrets are."""
        return Served("", "", **{**POOL, **self._store.variables, "JWT_SECRET": "", **more})

    def served_without(self) -> Served:
        """The control: the same, of variables."""
        return Served(self.first_url, self.redis.url, **POOL)

    def keep(self, **values: str) -> None:
        """Put values into the store."""
        self._kept |= values
        self._store.keep(dict(self._kept))

    def change_database(self) -> None:
        word = uuid4().hex
        self._say("ALTER ROLE {} PASSWORD {}", word)
        time.sleep(LATER)
        self.keep(DATABASE_URL=self._url(word))

    def change_redis(self) -> None:
        """Whoever is connected is cut off, for a password changes nothing for them."""
        word, old = uuid4().hex, self.redis.url
        with Client.from_url(old) as client:
            client.config_set("requirepass", word)
            client.client_kill_filter(_type="normal", skipme=True)
        self.redis.password = word
        self.keep(REDIS_URL=self.redis.url)

    def _say(self, statement: str, word: str) -> None:
        composed = sql.SQL(statement).format(sql.Identifier(self.role), sql.Literal(word))
        with psycopg.connect(self._owner_url, autocommit=True) as owner:
            owner.execute(composed)

    def _url(self, word: str) -> str:
        return f"postgresql://{self.role}:{word}@{self._owner_url.partition('@')[2]}"


@pytest.fixture
def vault() -> Iterator[OfVault]:
    with running() as server:
        yield OfVault(server)


@pytest.fixture
def amazon() -> Iterator[OfAmazon]:
    with tests.amazon.running() as server:
        yield OfAmazon(server)


@pytest.fixture
def own_redis(folder: Path) -> Iterator[Redis]:
    with Redis(folder / f"redis-{uuid4().hex}") as started:
        yield started


@pytest.fixture
def rotated(vault: OfVault, server: Postgres, own_redis: Redis) -> Rotated:
    return Rotated(vault, server, own_redis)


def loaded(served: Served) -> Load:
    traffic = Traffic(served)
    return Load(served.port, traffic.index, traffic.create, clients=CLIENTS)


@pytest.mark.parametrize("store", ["vault", "amazon"])
def test_no_request_fails_while_the_passwords_of_a_database_change(
    store: str,
    server: Postgres,
    own_redis: Redis,
    request: pytest.FixtureRequest,
    record_property: Record,
) -> None:
    """Without a signal, and long before the time is due: who is refused looks again."""
    rotated = Rotated(request.getfixturevalue(store), server, own_redis)
    with rotated.served() as served, loaded(served) as load:
        load.wait_for_more()
        for _ in range(3):
            before = changes(served)
            rotated.change_database()
            until(lambda: changes(served) > before)  # noqa: B023
            load.wait_for_more(400)
    figures(record_property, f"three passwords of the database, {store}", load.outcomes)
    assert failed(load.outcomes) == []


def test_requests_fail_where_nothing_is_read_again(
    rotated: Rotated, record_property: Record
) -> None:
    """The control."""
    with rotated.served_without() as served, loaded(served) as load:
        load.wait_for_more()
        rotated.change_database()
        until(lambda: failed(load.outcomes))
    assert figures(record_property, "the control", load.outcomes).total() > 0


def test_no_request_fails_while_the_password_of_redis_changes(
    rotated: Rotated, record_property: Record
) -> None:
    with rotated.served() as served, loaded(served) as load:
        load.wait_for_more()
        rotated.change_redis()
        load.wait_for_more()
        until(lambda: state_of_redis(served) == "up")
        until(lambda: counts_in_redis(served, load))
    figures(record_property, "a password of Redis", load.outcomes)
    assert failed(load.outcomes) == []


def test_without_reading_again_redis_is_lost(rotated: Rotated) -> None:
    """The control: no request fails for it, but limits and hand-overs do without Redis."""
    with rotated.served_without() as served:
        until(lambda: state_of_redis(served) == "up")
        rotated.change_redis()
        until(lambda: state_of_redis(served) == "down")
        time.sleep(2)
        assert state_of_redis(served) == "down"


def test_no_request_fails_while_a_signal_has_secrets_read_again(
    rotated: Rotated, record_property: Record
) -> None:
    """JWT_SECRET in the order of docs/secrets.md, so that tokens of before are good all along."""
    new = uuid4().hex + uuid4().hex
    steps = (
        {"JWT_SECRET": JWT_SECRET, "JWT_SECRET_FALLBACK": new},
        {"JWT_SECRET": new, "JWT_SECRET_FALLBACK": JWT_SECRET},
    )
    with rotated.served(SECRETS_REFRESH="off") as served, loaded(served) as load:
        load.wait_for_more()
        for step in steps:
            rotated.keep(**step)
            hang_up(served)
            load.wait_for_more()
    figures(record_property, "two signals", load.outcomes)
    assert failed(load.outcomes) == []
    assert {outcome.status for outcome in load.of("POST")} == {201}


def test_no_request_fails_while_a_signal_finds_no_store(
    rotated: Rotated, vault: OfVault, record_property: Record
) -> None:
    """What was read last stays in force, and the master goes on."""
    with rotated.served() as served, loaded(served) as load:
        load.wait_for_more()
        vault.server.faults += [503] * 3
        hang_up(served)
        load.wait_for_more()
        until(lambda: any("nothing is read again" in line for line in served.lines))
    figures(record_property, "a signal without a store", load.outcomes)
    assert failed(load.outcomes) == []


def changes(served: Served) -> int:
    """How often one of its processes has got another password."""
    return sum("have changed: DATABASE_URL" in line for line in served.lines)


def hang_up(served: Served) -> None:
    """Send SIGHUP to the master, and wait until it has none but new workers."""
    before = workers(served)
    served.process.send_signal(signal.SIGHUP)
    until(lambda: len(now := workers(served)) == 2 and not now & before)


def workers(served: Served) -> set[int]:
    return {child.pid for child in psutil.Process(served.process.pid).children()}


def state_of_redis(served: Served) -> str:
    return str(served.request("GET", "/health").json()["checks"]["redis"]["status"])


def counts_in_redis(served: Served, load: Load) -> bool:
    """Whether none of the next requests is counted without it."""
    before = fallbacks(served)
    load.wait_for_more()
    return fallbacks(served) == before


def fallbacks(served: Served) -> float:
    lines = served.request("GET", "/metrics").body.decode().splitlines()
    return sum(
        float(line.split()[-1]) for line in lines if line.startswith("rate_limiter_fallbacks")
    )
