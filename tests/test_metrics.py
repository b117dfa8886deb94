"""Metrics: their names and labels, who may read them, and that processes are added up."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError

from service import vitals
from service.app import create_app
from service.devservers import Postgres
from service.settings import Settings
from service.vitals import LIMIT
from tests.serving import Served
from tests.waiting import held_up, until

TOKEN = "a token of the tests, long enough for production"
NAMES = {
    "http_requests": {"method", "route", "status"},
    "http_request_duration_seconds": {"method", "route", "le"},
    "http_requests_in_flight": set(),
    "database_pool_in_use": set(),
    "database_pool_max": set(),
    "database_pool_wait_seconds": set(),
    "rate_limited_requests": {"rule"},
    "rate_limiter_fallbacks": {"rule"},
    "build_info": {"version"},
    "jobs_unfinished": {"queue", "status"},
    "jobs_oldest_queued_seconds": {"queue"},
    "jobs_failed": {"function"},
    "outbox_overdue_jobs": set(),
    "outbox_overdue_seconds": set(),
    "database_up": set(),
    "database_connections": {"state"},
    "database_connections_max": set(),
    "database_size_bytes": set(),
    "database_transactions": {"outcome"},
    "database_deadlocks": set(),
    "redis_up": set(),
    "redis_memory_used_bytes": set(),
    "redis_memory_max_bytes": set(),
    "redis_evicted_keys": set(),
}

Samples = dict[tuple[str, tuple[str, ...]], float]


def read(text: str) -> Samples:
    """The value of each (name, label values in the order of their names)."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            values = tuple(value for _, value in sorted(sample.labels.items()))
            found[sample.name, values] = sample.value
    return found


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine does meanwhile, what is up is up."""
    monkeypatch.setattr(vitals, "PATIENCE", 30.0)
    monkeypatch.setattr(vitals, "LIMIT", 30.0)


def client_with(settings: Settings, **changes: object) -> FlaskClient:
    return create_app(settings.model_copy(update=changes)).test_client()


def test_names_and_labels_are_as_promised(client: FlaskClient) -> None:
    client.get("/nothing")
    families = {
        family.name: family
        for family in text_string_to_metric_families(client.get("/metrics").text)
    }
    assert set(NAMES) <= set(families)
    for name, labels in NAMES.items():
        found = {label for sample in families[name].samples for label in sample.labels}
        assert found <= labels, name
        assert families[name].documentation.endswith("."), name


def test_what_is_down_is_not_up_and_the_rest_is_said(settings: Settings) -> None:
    up = read(client_with(settings).get("/metrics").text)
    assert (up["database_up", ()], up["redis_up", ()]) == (1, 1)
    assert up["database_connections", ("active",)] >= 1
    nowhere = {"database_url": "postgresql+psycopg://127.0.0.1:1/x", "redis_url": "redis://[::1]:1"}
    for name, url in nowhere.items():
        answer = client_with(settings, **{name: SecretStr(url)}).get("/metrics")
        found = read(answer.text)
        down = name.removesuffix("_url")
        (other,) = {"database", "redis"} - {down}
        assert answer.status_code == 200
        assert (found[f"{down}_up", ()], found[f"{other}_up", ()]) == (0, 1)
        assert ("database_size_bytes", ()) in found or down == "database"
        assert ("redis_memory_used_bytes", ()) in found or down == "redis"


def test_unknown_paths_and_methods_share_a_label(client: FlaskClient) -> None:
    before = read(client.get("/metrics").text)
    for path in ("/wp-login.php", "/a/b/c", "/nothing"):
        client.get(path)
    client.open("/nothing", method="BREW")
    after = read(client.get("/metrics").text)
    get, other = ("http_requests_total", ("GET", "unmatched", "4xx")), ("OTHER", "unmatched", "4xx")
    assert after[get] - before.get(get, 0) == 3
    assert after["http_requests_total", other] - before.get(("http_requests_total", other), 0) == 1
    assert not any("wp-login" in value for _, values in after for value in values)


def test_a_route_is_labelled_by_its_rule_and_not_by_its_path(client: FlaskClient) -> None:
    client.get("/things/0199a0a0-0000-7000-8000-000000000000")
    key = ("http_requests_total", ("GET", "/things/<uuid:id>", "4xx"))
    assert read(client.get("/metrics").text)[key] >= 1


@pytest.mark.parametrize("path", ["/health/live", "/metrics", "/ops", "/ops/state.json"])
def test_what_no_user_asks_for_is_not_counted(settings: Settings, path: str) -> None:
    client = client_with(settings, ops_token=SecretStr(TOKEN))
    client.get(path)
    assert f'"{path}"' not in client.get("/metrics").text


def test_a_database_without_tables_is_up(settings: Settings, postgres: Postgres) -> None:
    url = SecretStr(postgres.create_database("metrics_without_tables"))
    found = read(client_with(settings, database_url=url).get("/metrics").text)
    assert found["database_up", ()] == 1
    assert ("database_connections_max", ()) in found


def test_jobs_that_cannot_be_counted_in_time_are_no_database_that_is_down(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vitals, "LIMIT", LIMIT)
    url = settings.database_url.get_secret_value().replace("+psycopg", "")
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE jobs")
        found = read(client_with(settings).get("/metrics").text)
        assert held_up(other) == 0  # nobody goes on asking
    assert found["database_up", ()] == 1
    assert ("database_connections_max", ()) in found
    assert ("outbox_overdue_jobs", ()) not in found


@pytest.mark.parametrize(
    ("environment", "token", "header", "status"),
    [
        ("production", None, None, 404),
        ("staging", None, None, 404),
        ("development", None, None, 200),
        ("production", TOKEN, None, 401),
        ("production", TOKEN, "Bearer wrong", 401),
        ("production", TOKEN, f"Basic {TOKEN}", 401),
        ("production", TOKEN, "Bearer ä", 401),
        ("development", TOKEN, None, 401),
        ("production", TOKEN, f"Bearer {TOKEN}", 200),
    ],
)
def test_only_who_has_the_token_may_read_them(
    settings: Settings, environment: str, token: str | None, header: str | None, status: int
) -> None:
    client = client_with(settings, app_env=environment, metrics_token=token and SecretStr(token))
    headers = {"Authorization": header.encode().decode("latin-1")} if header else {}
    response = client.get("/metrics", headers=headers)
    assert response.status_code == status
    assert response.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)
    assert ("http_requests" in response.text) == (status == 200)
    if status != 200:
        assert response.mimetype == "application/problem+json"


def test_requests_of_all_processes_are_added_up(settings: Settings) -> None:
    urls = [settings.database_url.get_secret_value(), settings.redis_url.get_secret_value()]
    with (
        Served(*urls, WEB_CONCURRENCY="2", COMMIT_SHA="abc123") as web,
        ThreadPoolExecutor(8) as pool,
    ):
        sent = 0
        while counting(web) < 2 and sent < 1000:
            list(pool.map(lambda _: web.request("GET", "/openapi.json"), range(20)))
            sent += 20
        answers = [web.request("GET", "/metrics").body.decode() for _ in range(8)]
    key = ("http_requests_total", ("GET", "/openapi.json", "2xx"))
    assert sent < 1000
    assert [read(answer)[key] for answer in answers] == [sent] * 8
    assert read(answers[0])["build_info", ("abc123",)] == 1


def counting(web: Served) -> int:
    """How many of its processes have answered requests: each counts in a file of its own."""
    paths = [
        Path(file.path)
        for worker in psutil.Process(web.process.pid).children()
        for file in worker.open_files()
        if Path(file.path).name.startswith("counter_web-")
    ]
    return sum(b"/openapi.json" in path.read_bytes() for path in paths)


def test_processes_that_come_and_go_leave_nothing_that_a_scrape_would_read(
    settings: Settings,
) -> None:
    """Counters go on and gauges do not, while all that serve are replaced and one is killed."""
    urls = [settings.database_url.get_secret_value(), settings.redis_url.get_secret_value()]
    asked, stop, answers = [0], threading.Event(), []
    with Served(*urls, WEB_CONCURRENCY="2") as web:
        master = psutil.Process(web.process.pid)
        folder = next(
            Path(file.path).parent for file in master.open_files() if file.path.endswith(".db")
        )

        def scrape() -> None:
            while not stop.is_set():
                answers.append(web.request("GET", "/metrics"))
                answers.append(web.request("GET", "/docs"))
                asked[0] += 1

        def ask() -> None:
            web.request("GET", "/openapi.json")

        ask()
        with ThreadPoolExecutor(1) as pool:
            scraping = pool.submit(scrape)
            try:
                for _ in range(4):
                    before = {worker.pid for worker in master.children()}
                    web.process.send_signal(signal.SIGHUP)
                    until(lambda: len(now := pids(master)) == 2 and not now & before, 40)  # noqa: B023
                    ask()
            finally:
                stop.set()
            scraping.result()
        os.kill(killed := min(pids(master)), signal.SIGKILL)
        until(lambda: len(now := pids(master)) == 2 and killed not in now)
        ask()
        last = read(web.request("GET", "/metrics").body.decode())
        files = {path.name for path in folder.iterdir()}
    assert {answer.status for answer in answers} == {200}
    assert last["http_requests_total", ("GET", "/openapi.json", "2xx")] == 6
    assert last["http_requests_total", ("GET", "/docs", "2xx")] == asked[0]
    assert last["http_requests_in_flight", ()] == 1
    # Four at most at a time, while two take over from two, and the master.
    owners = {name.removesuffix(".db").rpartition("_")[2] for name in files}
    assert owners <= {str(master.pid), *(f"web-{number}" for number in range(5))}


def pids(master: psutil.Process) -> set[int]:
    found = set()
    for worker in master.children():
        with suppress(psutil.NoSuchProcess):  # it has ended since
            if worker.status() != psutil.STATUS_ZOMBIE:
                found.add(worker.pid)
    return found


def pool(client: FlaskClient) -> tuple[float, float]:
    found = read(client.get("/metrics").text)
    return found["database_pool_in_use", ()], found["database_pool_max", ()]


def test_the_pool_tells_its_most_and_what_is_in_use(settings: Settings) -> None:
    client = client_with(settings, database_pool_size=1, database_pool_max=7)
    engine = client.application.extensions["database"].engine
    before, _ = pool(client)
    with engine.connect():
        assert pool(client) == (before + 1, 7)
    assert pool(client) == (before, 7)
    engine.dispose()


def test_a_connection_that_could_not_be_had_is_not_counted(settings: Settings) -> None:
    nowhere = SecretStr("postgresql+psycopg://127.0.0.1:1/nothing")
    client = client_with(settings, database_url=nowhere, database_connect_retries=0)
    before, _ = pool(client)
    assert client.get("/api/users/me", headers={"Authorization": "Bearer x"}).status_code == 401
    for _ in range(3):
        with pytest.raises(DBAPIError):
            client.application.extensions["database"].engine.connect()
    assert pool(client)[0] == before
