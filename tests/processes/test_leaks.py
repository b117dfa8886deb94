"""Planted secrets, and everything that the service writes, sends and is called while it fails."""

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import psycopg
import pytest
from psycopg import sql
from redis import Redis as Client

from service.devservers import Postgres, Redis
from service.environment import ROOT, is_secret, variable
from service.settings import Settings
from tests.chaos.traffic import TABLE, Traffic, send_to
from tests.children import Child, Logs, surroundings
from tests.people import PASSWORD
from tests.ports import free_port
from tests.sentry import Envelope
from tests.serving import Answer, Served, own_database
from tests.vault import ROLE_ID, ROOT_TOKEN, SECRET_ID, Vault, running
from tests.waiting import until

SECRETS = {variable(name, f) for name, f in Settings.model_fields.items() if is_secret(f)}
SIGNING_IN = {"VAULT_TOKEN": ROOT_TOKEN, "VAULT_SECRET_ID": SECRET_ID}
WAYS = {  # to sign in to Vault
    "token": {"VAULT_TOKEN": ROOT_TOKEN},
    "AppRole": {"VAULT_ROLE_ID": ROLE_ID, "VAULT_SECRET_ID": SECRET_ID},
}
PAGES = ("/", "/health", "/openapi.json", "/docs", "/nothing", "/metrics", "/smoke")


def word() -> str:
    """Long enough for a key, and found in no text by chance."""
    return f"planted{uuid4().hex}"


class Planted:
    """Every secret that there is, each with a word to look for, in servers that know them."""

    def __init__(
        self, store: Vault, postgres: Postgres, redis: Redis, sentry: int, way: str = "AppRole"
    ) -> None:
        self.store, self.redis, self._owner_url = store, redis, own_database(postgres)
        self.words = {name: word() for name in SECRETS - SIGNING_IN.keys()} | SIGNING_IN
        self.words["REDIS_URL"] = redis.password
        self.role, at = f"role_{uuid4().hex}", self._owner_url.partition("@")[2]
        self._own("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}", self.words["DATABASE_URL"])
        nowhere = f"127.0.0.1:{free_port()}"
        urls = {
            "DATABASE_URL": f"postgresql://{self.role}:{{}}@{at}",
            "DATABASE_REPLICA_URL": f"postgresql://{self.role}:{{}}@{at}",  # is refused
            "REDIS_URL": f"redis://:{{}}@127.0.0.1:{redis.port}/0",
            "SMTP_URL": f"smtp://postman:{{}}@{nowhere}",
            "SENTRY_DSN": f"http://{{}}@127.0.0.1:{sentry}/1",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization={}",
        }
        held = {name: urls.get(name, "{}").format(self.words[name]) for name in self.words}
        self.held = {name: value for name, value in held.items() if name not in SIGNING_IN}
        store.secrets["app"] = self.held
        self.environment = {
            "LOG_LEVEL": "DEBUG",
            "SECRETS_FROM": "vault://kv/app",
            "SECRETS_REFRESH": "1s",
            "VAULT_ADDR": store.url,
            **WAYS[way],
            "MAIL_FROM": "shop@example.com",
            "S3_BUCKET": "bucket",
            "S3_ENDPOINT_URL": f"http://{nowhere}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{nowhere}",
            "WORKER_CONCURRENCY": "1",
            "WEB_CONCURRENCY": "1",
        }

    def break_schema(self) -> None:
        self._own(f"ALTER TABLE {TABLE} RENAME TO renamed -- {{}} {{}}", "")

    def break_passwords(self) -> None:
        """Nobody tells the store; what is connected is cut off."""
        self._own("ALTER ROLE {} PASSWORD {}", "another")
        with psycopg.connect(self._owner_url, autocommit=True) as owner:
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
            owner.execute(query, (self.role,))
        with Client.from_url(self.redis.url) as client:
            client.config_set("requirepass", "another")
            client.client_kill_filter(_type="normal", skipme=True)

    def needles(self) -> dict[str, str]:
        """Words by what they are, the tokens that logins gave among them."""
        given = {
            f"token {number}": each
            for number, each in enumerate(self.store.tokens)
            if each != ROOT_TOKEN
        }
        return self.words | given

    def _own(self, statement: str, text: str) -> None:
        composed = sql.SQL(statement).format(sql.Identifier(self.role), sql.Literal(text))
        with psycopg.connect(self._owner_url, autocommit=True) as owner:
            owner.execute(composed)


@pytest.fixture
def planted(
    postgres: Postgres, folder: Path, sink: ThreadingHTTPServer, request: pytest.FixtureRequest
) -> Iterator[Planted]:
    way = getattr(request, "param", "AppRole")
    with running() as store, Redis(folder / f"redis-{uuid4().hex}") as redis:
        yield Planted(store, postgres, redis, sink.server_port, way)


@pytest.mark.parametrize("planted", WAYS, indirect=True)
def test_no_secret_is_written_sent_or_shown(planted: Planted, sink: ThreadingHTTPServer) -> None:
    assert planted.words.keys() == SECRETS, "each new secret is planted here too"
    seen: dict[str, str] = {}
    with ExitStack() as stack:
        web, worker, scheduler = start(planted, stack)
        seen["web's answers"] = shown(meet_failures(planted, web, worker))
        seen["arguments"], environments = arguments_and_environments(web, worker, scheduler)
        seen["commands"] = run_commands(planted)
        planted.store.faults += [b"<html>", 403, 503] * 20
        until(lambda: any("secrets are not read again" in line for line in web.lines))
        assert web.stop() == worker.stop() == scheduler.stop() == 0
    seen["web's log"], seen["worker's log"] = "\n".join(web.lines), "\n".join(worker.lines)
    seen["scheduler's log"] = "\n".join(scheduler.lines)
    received: list[Envelope] = sink.received  # type: ignore[attr-defined]
    seen["Sentry"] = "\n".join(envelope.text for envelope in received)
    assert_failures_were_met(seen)
    assert leaks(planted, seen) == []
    # Nor does a process's environment have what comes from the store.
    (given,) = SIGNING_IN.keys() & planted.environment.keys()
    assert leaks(planted, {"environments": environments}) == [f"environments: {given}"]


def test_what_is_looked_for_is_found_where_it_is(
    planted: Planted, sink: ThreadingHTTPServer
) -> None:
    """The control: an error's text with each secret, and a command that is given one."""
    text = " ".join(planted.needles().values())
    found = leaks(planted, {"a text": text})
    assert found == sorted(f"a text: {name}" for name in planted.needles())


@pytest.mark.parametrize("command", ["web", "worker", "doctor", "settings", "migrate"])
def test_no_secret_is_in_what_is_said_of_a_bad_environment(command: str, planted: Planted) -> None:
    """All of them malformed: as URLs of a kind that is unknown, and too short as keys."""
    spoilt = {
        name: value.replace("://", "//", 1) if "://" in value else value[:20]
        for name, value in planted.held.items()
    }
    needles = {
        name: value[:20] if "//" not in value else planted.words[name]
        for name, value in spoilt.items()
    }
    ended = run([command], {**planted.environment, "SECRETS_FROM": "", **spoilt})
    assert ended.returncode == 1
    assert "The environment is not valid" in ended.stderr
    for name, needle in needles.items():
        assert needle not in ended.stdout + ended.stderr, name


def start(planted: Planted, stack: ExitStack) -> tuple[Served, Child, Child]:
    production = {**planted.environment, "APP_ENV": "production", "JWT_SECRET": ""}
    web = stack.enter_context(Served("", "", **production))
    environment = {**production, "DATABASE_URL": "", "REDIS_URL": "", "LOG_FORMAT": "json"}
    worker, scheduler = (
        stack.enter_context(Logs(["-m", "service", name], environment, f"{name} started"))
        for name in ("worker", "scheduler")
    )
    return web, worker, scheduler


def meet_failures(planted: Planted, web: Served, worker: Child) -> list[Answer]:
    """What web answers, one failure after the other."""
    account = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD}
    answers = [web.request("POST", "/api/users", account)]  # its mail finds no server
    token = web.request("POST", "/api/auth/login", account).json()["access_token"]
    signed_in = {"Authorization": f"Bearer {token}"}
    file = {"filename": "a.png", "content_type": "image/png", "size": 1}
    traffic = Traffic(web)
    failing = 2  # jobs: the mails of two accounts
    # sample
    answers += [
        web.request("POST", "/api/posts/exports", {}, signed_in)
    ]  # its file finds no bucket
    failing += 1
    # end of sample
    answers += [
        send_to(web, traffic.create()),
        web.request("GET", "/api/users/me", headers={"Authorization": "Bearer nonsense"}),
        web.request("GET", "/metrics", headers={"Authorization": "Bearer nonsense"}),
    ]
    signed = web.request("POST", "/api/uploads", file, signed_in)  # has the id of its key, to sign
    answers += [signed._replace(body=signed.body.replace(key_id(planted), b""))]
    until(
        lambda: len([e for e in worker.events() if "exception" in e or e.get("error")]) >= failing
    )
    planted.break_schema()
    answers += [web.request("GET", page) for page in PAGES] + [send_to(web, traffic.index())]
    planted.break_passwords()
    answers += [web.request("GET", page) for page in PAGES] + [send_to(web, traffic.index())]
    answers += [web.request("POST", "/api/auth/login", account)]
    until(lambda: any("password authentication failed" in line for line in worker.lines), 30)
    return answers


def key_id(planted: Planted) -> bytes:
    return planted.words["AWS_ACCESS_KEY_ID"].encode()


def shown(answers: list[Answer]) -> str:
    return "\n".join(f"{each.status} {each.headers} {each.body!r}" for each in answers)


def arguments_and_environments(*children: Child) -> tuple[str, str]:
    found: list[str] = []
    environments: list[str] = []
    for child in children:
        parent = psutil.Process(child.process.pid)
        for each in (parent, *parent.children(recursive=True)):
            found.append(Path(f"/proc/{each.pid}/cmdline").read_text())
            environments.append(Path(f"/proc/{each.pid}/environ").read_text())
    assert len(found) >= 4
    return "\n".join(found), "\n".join(environments)


def run_commands(planted: Planted) -> str:
    """What commands say, whose database and Redis refuse them."""
    commands = (
        ["doctor"],
        ["doctor", "--json"],
        ["settings", "--json"],
        ["connections"],
        ["migrate"],
        ["jobs", "list"],
        ["healthcheck", "worker"],
    )
    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(lambda each: run(each, planted.environment), commands))
    assert [each.returncode for each in ended][:2] == [1, 1]
    return "\n".join(each.stdout + each.stderr for each in ended)


def run(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        cwd=ROOT,
        env={**surroundings(), "PORT": str(free_port()), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def assert_failures_were_met(seen: dict[str, str]) -> None:
    """Or there was nothing to leak."""
    expected = {
        "web's answers": ("500 ", "503 ", "401 "),
        "web's log": (
            "replica is down",
            "UndefinedTable",
            "password authentication failed",
            "invalid username-password pair",
            "secrets are not read again",
        ),
        "worker's log": ("Connection refused", "password authentication failed"),
        "Sentry": ("UndefinedTable",),
        "commands": ("password authentication failed", "SECRETS_FROM vault://kv/app"),
    }
    for where, texts in expected.items():
        for text in texts:
            assert text in seen[where], (where, text, seen[where][-3000:])


def leaks(planted: Planted, seen: dict[str, str]) -> list[str]:
    found: list[Any] = []
    for where, text in seen.items():
        for name, needle in planted.needles().items():
            if (where, name) == ("Sentry", "SENTRY_DSN"):
                continue  # what tells Sentry whose it is
            if needle in text or needle in re.sub(r"\\", "", text):
                found.append(f"{where}: {name}")
    return sorted(found)
