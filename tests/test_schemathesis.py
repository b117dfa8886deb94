"""The running service held against its OpenAPI document, by requests schemathesis makes up."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from service import tokens
from service.app import create_app
from service.db import session
from service.devservers import Postgres, Redis
from service.users.models import User
from tests.conftest import make_settings
from tests.serving import Served, own_database

CONFIG = {
    "workers": 1,
    "generation": {"max-examples": 10, "deterministic": True, "database": "none"},
    "phases": {"stateful": {"enabled": False}},  # each request is another user's, see fresh_token
    "operations": [
        {
            # A cursor is text, and only what we gave out is one: no schema can say that.
            "include-operation-id-regex": "_index$",
            "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "422"]}},
        }
    ],
}
BUCKET = {
    "S3_BUCKET": "bucket",
    "AWS_ACCESS_KEY_ID": "AKIDOFTESTS",
    "AWS_SECRET_ACCESS_KEY": "the secret key of the tests",
}


@pytest.fixture(scope="module")
def database_url(postgres: Postgres) -> str:
    return own_database(postgres)


@pytest.fixture(scope="module")
def served(database_url: str, redis_server: Redis) -> Iterator[Served]:
    with Served(database_url, redis_server.url, WEB_CONCURRENCY="1", **BUCKET) as web:
        yield web


@pytest.fixture(scope="module")
def fresh_token(
    database_url: str, redis_server: Redis, password_hash: str
) -> Iterator[Callable[[], str]]:
    """Makes a user and a token of theirs: some requests end the account or all its tokens."""
    app = create_app(make_settings(database_url, redis_server.url))

    def make() -> str:
        with app.app_context():
            user = User(email=f"{uuid4()}@example.com", password_hash=password_hash)
            session.add(user)
            session.commit()
            return tokens.issue(user.id, user.token_generation)[0]

    yield make
    app.extensions["database"].engine.dispose()


def explore(url: str, fresh_token: Callable[[], str]) -> tuple[int, list[str]]:
    """How many requests were made, and what was wrong with the answers."""
    config = SchemathesisConfig.from_dict(CONFIG)
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)

    @schema.auth(refresh_interval=None)
    class Token:
        def get(self, *_: Any) -> str:
            return fresh_token()

        def set(self, case: schemathesis.Case, token: str, _: Any) -> None:
            case.headers["Authorization"] = f"Bearer {token}"

    requests, wrong = 0, []
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            requests += len(event.recorder.cases)
            wrong += list(failures(event.recorder))
        elif isinstance(event, events.NonFatalError):
            wrong.append(f"{event.label}: {event.value!r}")
        elif isinstance(event, events.FatalError):
            raise event.exception
    return requests, wrong


def failures(recorder: Any) -> Iterator[str]:
    for id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info:
                failure = check.failure_info.failure
                yield f"{recorder.cases[id].value!r:.1000}: {failure.title}: {failure.message}"


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
def test_no_request_gets_an_answer_that_the_document_does_not_give(
    served: Served, fresh_token: Callable[[], str]
) -> None:
    requests, wrong = explore(served.url, fresh_token)
    assert wrong == []
    assert requests > 300
    answered = {event["status"] for event in served.events("request")}
    assert {200, 201, 204, 400, 401, 404, 405, 415, 422} - answered == set()
