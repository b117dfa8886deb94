"""Alerts, dashboards and what they ask for: each name is in a scrape, each alert has a page."""

import json
import re
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import psycopg
import pytest
import yaml

from service.devservers import Postgres, Redis
from service.environment import ROOT
from tests.children import Logs
from tests.deploy.prometheus import DASHBOARDS, RULES, SERVERS, expressions, names, panels, rules
from tests.ports import free_port
from tests.serving import Served, own_database, variables
from tests.waiting import until

CASES = ROOT / "tests" / "deploy" / "monitoring"
BY_PROMETHEUS = {"up"}
# A job that has failed, and one that waits for tomorrow.
LEFT = """
    INSERT INTO jobs (id, function, arguments, queue, status, attempts, max_attempts, due_at)
    SELECT gen_random_uuid(), 'users.jobs.welcome', '[]', 'high', status, 8, 8, now() + '1 day'
    FROM unnest(ARRAY['failed', 'queued']) AS status
"""
ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
RECORDS = {rule["record"] for rule in rules() if "record" in rule}


def test_names_are_found_in_an_expression() -> None:
    asked = 'sum by (job) (rate(a_total{x="b"}[5m])) / on (job) b:c_d > 0.5 and max(e offset 1m)'
    assert names(asked) == {"a_total", "b:c_d", "e"}


def headings(page: Path) -> set[str]:
    found = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in found}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_who_is_called_what_it_is_and_where_to_read_on(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("page", "ticket", "none")
    page, _, section = rule["annotations"]["runbook"].partition("#")
    assert section in headings(ROOT / page)
    assert rule["annotations"]["summary"]


def test_every_section_of_the_page_is_of_an_alert() -> None:
    wanted = {rule["annotations"]["runbook"].partition("#")[2] for rule in ALERTS.values()}
    assert headings(ROOT / "docs" / "alerts.md") == wanted | {"alerts"}


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    fires, silent = set(), set()
    for path in CASES.glob("*.yml"):
        for case in yaml.safe_load(path.read_text())["tests"]:
            for each in case["alert_rule_test"]:
                (fires if each["exp_alerts"] else silent).add(each["alertname"])
    assert fires == set(ALERTS)
    assert silent == set(ALERTS) - {"Watchdog"}


def test_a_panel_says_what_it_shows_and_in_which_unit() -> None:
    for board, panel in panels():
        assert panel["title"], board
        assert panel["description"], (board, panel["title"])
        assert panel["fieldConfig"]["defaults"]["unit"], (board, panel["title"])


def test_a_dashboard_is_named_as_its_file_and_marks_the_releases() -> None:
    assert [path.stem for path in DASHBOARDS] == ["database", "jobs", "overview"]
    for path in DASHBOARDS:
        board = json.loads(path.read_text())
        assert board["uid"] == path.stem
        assert "build_info" in board["annotations"]["list"][0]["expr"]
        ids = [panel["id"] for panel in board["panels"]]
        assert len(ids) == len(set(ids))


def scraped(port: int) -> set[str]:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return set(re.findall(r"^([a-z_]+)[ {]", text, re.M))


@pytest.fixture(scope="module")
def live(postgres: Postgres, redis_server: Redis) -> set[str]:
    """The names in the scrapes of a web, a worker and a scheduler, to which something happened."""
    url, redis = own_database(postgres), f"{redis_server.url[:-1]}9"
    ports = {"worker": free_port(), "scheduler": free_port()}
    given = variables(url, redis)
    somebody = {"email": "somebody@example.com", "password": "a long password"}
    with ExitStack() as stack:
        for name, port in ports.items():
            mine = {**given, "METRICS_PORT": str(port)}
            stack.enter_context(Logs(["-m", "service", name], mine, f"{name} started"))
        web = stack.enter_context(Served(url, redis, RATE_LIMIT_LOGIN="1 per hour"))
        cut_off = stack.enter_context(Served(url, f"redis://127.0.0.1:{free_port()}/0"))
        assert web.request("POST", "/api/users", somebody).status == 201  # whose welcome is a job
        cut_off.request("POST", "/api/auth/login", somebody)
        until(lambda: web.request("POST", "/api/auth/login", somebody).status == 429)
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(LEFT)
        until(lambda: "job_attempts_total" in scraped(ports["worker"]))
        until(lambda: "redis_memory_used_bytes" in scraped(web.port))
        return set().union(*(scraped(port) for port in (web.port, cut_off.port, *ports.values())))


def test_every_name_is_in_a_scrape(live: set[str]) -> None:
    known = live | RECORDS | BY_PROMETHEUS
    said_here = (path for path in RULES if path != SERVERS)  # tests/deploy/servers asks for those
    asked = [*expressions(), *((rule["expr"], rule["expr"]) for rule in rules(said_here))]
    assert len(asked) > 60
    missing = {(name, where) for where, each in asked for name in names(each) - known}
    assert not missing
