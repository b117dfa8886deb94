"""/ops: who is let in, how often a token may be tried, and what its buttons do to jobs."""

import subprocess
import sys
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import update
from werkzeug.test import TestResponse

from service import admission, ops
from service.app import create_app
from service.db import session
from service.devservers import Postgres, Redis
from service.environment import ROOT
from service.outbox import FAILED, Job, enqueue
from service.settings import Settings
from service.users.jobs import welcome
from tests.conftest import make_settings
from tests.counted import counting, empty
from tests.serving import own_database

TOKEN = "a token of the tests, long enough for production"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HERE = {"Sec-Fetch-Site": "same-origin"}
SCRIPT = "<script>alert('job')</script>"
EVERYTHING = (
    ("GET", "/ops"),
    ("GET", "/ops/state.json"),
    ("GET", "/ops/ops.js"),
    ("POST", "/ops/sign-in"),
    ("POST", "/ops/sign-out"),
    ("POST", f"/ops/jobs/{uuid4()}/retry"),
)


@pytest.fixture(scope="module")
def shared(postgres: Postgres, redis_server: Redis) -> Iterator[Flask]:
    """An app with an operator's page, whose transactions are real: the page asks by a connection
    of its own."""
    url = own_database(postgres)
    found = create_app(make_settings(url, redis_server.url, ops_token=SecretStr(TOKEN)))
    yield found
    found.extensions["database"].engine.dispose()


@pytest.fixture
def stranger(shared: Flask) -> FlaskClient:
    empty(shared)
    return shared.test_client()


@pytest.fixture
def operator(stranger: FlaskClient) -> FlaskClient:
    assert sign_in(stranger).status_code == 303
    return stranger


def sign_in(client: FlaskClient, token: str = TOKEN, **headers: str) -> TestResponse:
    return client.post("/ops/sign-in", data={"token": token}, headers=HERE | headers)


def fail(app: Flask, error: str = "ValueError: no") -> UUID:
    """A job that has failed for good."""
    with app.app_context():
        id = enqueue(session, welcome, uuid4())
        values = {"status": FAILED, "error": error, "attempts": 3, "finished_at": Job.created_at}
        session.execute(update(Job).where(Job.id == id).values(values))
        session.commit()
    return id


def limited(settings: Settings, **changes: object) -> FlaskClient:
    """A client of an app that allows two attempts."""
    changes = {"ops_token": SecretStr(TOKEN), "rate_limit_login": "2 per hour", **changes}
    urls = (settings.database_url, settings.redis_url)
    app = create_app(make_settings(*(url.get_secret_value() for url in urls), **changes))
    empty(app)
    return counting(app)


@pytest.mark.parametrize("environment", ["test", "development", "production"])
def test_without_a_token_there_is_no_such_page(settings: Settings, environment: str) -> None:
    client = create_app(settings.model_copy(update={"app_env": environment})).test_client()
    for method, path in EVERYTHING:
        assert client.open(path, method=method, headers=HERE | BEARER).status_code == 404


def test_without_a_token_nothing_of_it_is_imported(settings: Settings) -> None:
    code = """
import sys
from pydantic import SecretStr
from service.app import create_app
from tests.conftest import make_settings
create_app(make_settings("postgresql://h/d", "redis://h/0", ops_token=%s))
own = ("ops", "overview", "admission", "failures")
print(*[name for name in own if f"service.{name}" in sys.modules])
"""

    def imported(token: str) -> int:
        command = [sys.executable, "-c", code % token]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return len(ended.stdout.split())

    assert imported("None") == 0
    assert imported(f"SecretStr({TOKEN!r})") == 4


def test_who_is_not_signed_in_sees_a_form_and_nothing_else(stranger: FlaskClient) -> None:
    form = stranger.get("/ops")
    assert (form.status_code, 'type="password"' in form.text) == (200, True)
    assert "ops.js" not in form.text
    for method, path in EVERYTHING[1:2] + EVERYTHING[5:]:
        answer = stranger.open(path, method=method, headers=HERE)
        assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")


def test_the_token_is_given_once(stranger: FlaskClient) -> None:
    answer = sign_in(stranger)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/ops")
    cookie = answer.headers["Set-Cookie"]
    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=Strict", "Path=/ops", "Max-Age=43200"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert "ops.js" in stranger.get("/ops").text
    assert stranger.get("/ops/state.json").status_code == 200
    assert stranger.post("/ops/sign-out", headers=HERE).status_code == 303
    assert stranger.get("/ops/state.json").status_code == 401


@pytest.mark.parametrize(
    ("hops", "said", "expected"), [(1, "https", True), (1, "http", False), (0, "https", False)]
)
def test_the_cookie_goes_over_https_only_where_the_client_speaks_it(
    settings: Settings, hops: int, said: str, expected: bool
) -> None:
    client = limited(settings, proxy_hops=hops)
    headers = {"X-Forwarded-Proto": said, "X-Forwarded-For": "192.0.2.1"}
    assert ("Secure" in sign_in(client, **headers).headers["Set-Cookie"]) == expected


def test_a_wrong_token_is_refused_and_after_a_few_not_even_looked_at(settings: Settings) -> None:
    client = limited(settings)
    for wrong in ("wrong", "ä", ""):
        answer = sign_in(client, wrong)
        assert "Set-Cookie" not in answer.headers
    assert (answer.status_code, answer.headers["Retry-After"].isdecimal()) == (429, True)
    assert "Too many attempts" in answer.text
    assert sign_in(client).status_code == 429


def test_a_wrong_token_is_told_so(stranger: FlaskClient) -> None:
    answer = sign_in(stranger, TOKEN[:-1])
    assert (answer.status_code, ops.WRONG in answer.text) == (401, True)


def test_a_wrong_bearer_is_counted_too_and_a_right_one_is_not(settings: Settings) -> None:
    client = limited(settings)
    for _ in range(4):
        assert client.get("/ops/state.json", headers=BEARER).status_code == 200
    statuses = []
    for path in ("/ops", "/ops/state.json", "/ops/state.json"):
        answer = client.get(path, headers={"Authorization": "Bearer wrong"})
        statuses.append(answer.status_code)
    assert statuses == [401, 401, 429]


def test_a_proxy_s_own_password_is_nothing_to_us(settings: Settings) -> None:
    client = limited(settings)
    basic = {"Authorization": "Basic c29tZWJvZHk6c2VjcmV0"}
    assert [client.get("/ops", headers=basic).status_code for _ in range(4)] == [200] * 4
    assert client.get("/ops/state.json", headers=basic).status_code == 401
    assert sign_in(client, **basic).status_code == 303
    assert client.get("/ops/state.json", headers=basic).status_code == 200


def test_an_idempotency_key_is_no_user_s_here(shared: Flask, stranger: FlaskClient) -> None:
    path = f"/ops/jobs/{fail(shared)}/discard"
    answer = stranger.post(path, headers=BEARER | {"Idempotency-Key": "the-same"})
    assert (answer.status_code, answer.json) == (200, {"changed": True, "status": None})


def test_tokens_are_limited_without_redis_too(settings: Settings) -> None:
    """Each process by a share of the limit that is at most half: one of two attempts."""
    database = settings.database_url.get_secret_value()
    changes = {"ops_token": SecretStr(TOKEN), "rate_limit_login": "2 per hour"}
    nowhere = make_settings(database, "redis://127.0.0.1:1/0", web_concurrency=1, **changes)
    client = create_app(nowhere).test_client()
    assert [sign_in(client, "wrong").status_code for _ in range(3)] == [401, 429, 429]


def test_a_forged_or_old_cookie_is_refused(stranger: FlaskClient) -> None:
    token = SecretStr(TOKEN)
    for cookie in (
        "9999999999.00",
        admission.issue(SecretStr("x" * 40)),
        admission.issue(token, 0),
    ):
        stranger.set_cookie(admission.COOKIE, cookie, path="/ops")
        assert stranger.get("/ops/state.json").status_code == 401
    stranger.set_cookie(admission.COOKIE, admission.issue(token), path="/ops")
    assert stranger.get("/ops/state.json").status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example.com"}, {}]
)
def test_what_another_site_sends_is_refused(
    shared: Flask, operator: FlaskClient, headers: dict[str, str]
) -> None:
    id = fail(shared)
    for path in (f"/ops/jobs/{id}/discard", "/ops/sign-out", "/ops/sign-in"):
        answer = operator.post(path, headers=headers, data={"token": TOKEN})
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)
    assert str(id) in operator.get("/ops/state.json").text


def test_a_script_needs_the_bearer_token_alone(shared: Flask, stranger: FlaskClient) -> None:
    id = fail(shared)
    answer = stranger.post(f"/ops/jobs/{id}/retry", headers=BEARER)
    assert (answer.status_code, answer.json) == (200, {"changed": True, "status": "retrying"})


def test_a_script_in_an_error_is_text_and_no_page_may_run_one(
    shared: Flask, operator: FlaskClient
) -> None:
    id = fail(shared, SCRIPT)
    answer = operator.get("/ops/state.json")
    (job,) = [each for each in answer.json["jobs"]["shown"] if each["id"] == str(id)]
    assert (answer.mimetype, job["error"]) == ("application/json", SCRIPT)
    for page in (operator.get("/ops"), shared.test_client().get("/ops")):
        policy = page.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "<style" not in page.text
        assert page.text.count("<script") == page.text.count("<script src=")
        assert page.headers["Cache-Control"] == "no-store"


def test_each_file_of_the_page_is_there(operator: FlaskClient) -> None:
    for name in ops.FILES:
        answer = operator.get(f"/ops/{name}", buffered=True)
        assert answer.status_code == 200, name
    assert operator.get("/ops/ops.html").status_code == 404


def test_a_job_is_tried_again_once(shared: Flask, operator: FlaskClient) -> None:
    id = fail(shared)
    answers = [operator.post(f"/ops/jobs/{id}/retry", headers=HERE).json for _ in range(2)]
    assert [answer["changed"] for answer in answers] == [True, False]
    assert {answer["status"] for answer in answers} == {"retrying"}
    with shared.app_context():
        job = session.get(Job, id)
        assert job is not None
        assert (job.status, job.attempts, job.finished_at) == ("retrying", 3, None)
        assert job.max_attempts > 3


def test_a_job_is_discarded_once(shared: Flask, operator: FlaskClient) -> None:
    id = fail(shared)
    answers = [operator.post(f"/ops/jobs/{id}/discard", headers=HERE).json for _ in range(2)]
    assert answers == [{"changed": True, "status": None}, {"changed": False, "status": None}]
    assert str(id) not in operator.get("/ops/state.json").text


def test_what_somebody_has_retried_meanwhile_is_not_discarded(
    shared: Flask, operator: FlaskClient
) -> None:
    id = fail(shared)
    operator.post(f"/ops/jobs/{id}/retry", headers=HERE)
    answer = operator.post(f"/ops/jobs/{id}/discard", headers=HERE)
    assert answer.json == {"changed": False, "status": "retrying"}


def test_the_log_has_who_did_what_and_no_token(
    operator: FlaskClient, shared: Flask, capfd: pytest.CaptureFixture[str]
) -> None:
    id = fail(shared)
    sign_in(operator)
    sign_in(operator, f"{TOKEN}!")
    operator.post(f"/ops/jobs/{id}/discard", headers=HERE)
    operator.get("/ops/state.json", headers={"Authorization": f"Bearer {TOKEN}!"})
    said = capfd.readouterr().out
    assert TOKEN not in said
    for word in ("discard", str(id), "users.jobs.welcome", "127.0.0.1", "sign in", "refused"):
        assert word in said


def test_tokens_are_compared_in_constant_time() -> None:
    """By the one function for it: a comparison of our own would be seen in the source."""
    source = (ROOT / "service" / "admission.py").read_text()
    assert source.count("hmac.compare_digest") == 2
    assert "get_secret_value() ==" not in source + (ROOT / "service" / "ops.py").read_text()
