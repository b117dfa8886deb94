"""`docker compose up` on a laptop: the whole stack behind nginx, and what it bears."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen
from uuid import uuid4

import psycopg
import pytest

from service.environment import ROOT, environment
from tests.chaos.load import CLIENTS, Ask, Load, failed
from tests.chaos.traffic import Traffic, a_read, assert_right_or_503
from tests.deploy.docker.conftest import Figure, Record
from tests.deploy.docker.site import Site, assert_hardened, call, docker, published, retried
from tests.deploy.prometheus import expressions
from tests.people import PASSWORD
from tests.ports import free_port
from tests.waiting import until

PAUSE = 0.4


class Laptop(Site):
    """compose.yaml, with ports of its own."""

    def __init__(self, name: str = "slipway-laptop", folder: Path = ROOT) -> None:
        super().__init__(free_port())
        self.folder = folder
        self.mail, self.s3, self.postgres = free_port(), free_port(), free_port()
        self.environment = {
            "COMPOSE_PROJECT_NAME": name,
            "HTTP_PORT": str(self.port),
            "MAIL_PORT": str(self.mail),
            "S3_PORT": str(self.s3),
            "POSTGRES_PORT": str(self.postgres),
            "PROMETHEUS_PORT": str(free_port()),
            "COMPOSE_FILE": "compose.yaml:tests/deploy/docker/limits.yaml",
        }
        self.url = f"postgresql://service:development@127.0.0.1:{self.postgres}/service"

    def compose(self, *words: str, check: bool = True) -> str:
        command = ["docker", "compose", "--project-directory", str(self.folder), *words]
        return call(command, check=check, **self.environment)

    def up(self) -> float:
        """Seconds from built images to all of it healthy."""
        self.compose("build", "--quiet")
        start = time.monotonic()
        self.compose("up", "--detach", "--wait")
        return time.monotonic() - start

    def container(self, service: str) -> str:
        return self.compose("ps", "--quiet", service).split()[0]


@pytest.fixture(scope="module")
def laptop(engine: None, figure: Figure) -> Iterator[Laptop]:
    found = Laptop()
    figure(f"docker compose up: all healthy after {found.up():.1f} s")
    yield found
    found.compose("--profile", "monitoring", "down", "--volumes", "--timeout", "1")


@contextmanager
def load_on(laptop: Laptop, scenario: str, record: Record) -> Iterator[Load]:
    traffic = Traffic(laptop)
    makers = (traffic.index, traffic.create, traffic.show, traffic.update)
    start = time.monotonic()
    with Load(laptop.port, *makers, pause=PAUSE) as load:
        load.wait_for_more(100)
        yield load
        load.wait_for_more(100)
    since = f"{time.monotonic() - start + 1:.0f}s"
    logs = laptop.compose("logs", "--no-log-prefix", "--since", since, "nginx")
    record(scenario, load.outcomes, retried(logs), time.monotonic() - start)


def sign_in(laptop: Laptop) -> tuple[str, dict[str, str]]:
    account = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD}
    assert laptop.request("POST", "/api/users", account).status == 201
    token = laptop.request("POST", "/api/auth/login", account).json()["access_token"]
    return account["email"], {"Authorization": f"Bearer {token}"}


def test_a_mail_goes_all_the_way(laptop: Laptop) -> None:
    email, _ = sign_in(laptop)

    def mails() -> list[Any]:
        with urlopen(f"http://127.0.0.1:{laptop.mail}/api/v1/messages") as answer:
            return [m for m in json.load(answer)["messages"] if m["To"][0]["Address"] == email]

    assert until(mails)[0]["Subject"].startswith("Welcome")


# sample
def test_an_export_goes_all_the_way(laptop: Laptop) -> None:
    _, signed_in = sign_in(laptop)
    asked = laptop.request("POST", "/api/posts/exports", b"", signed_in)
    job = asked.headers["Location"]
    until(lambda: laptop.request("GET", job, None, signed_in).json()["status"] == "succeeded")
    result = laptop.request("GET", job, None, signed_in).json()["result"]
    link = laptop.request("GET", result["url"], None, signed_in).headers["Location"]
    assert link.startswith(f"http://s3.localhost:{laptop.s3}/uploads/")
    # As a browser, to which s3.localhost is this machine.
    host = {"Host": f"s3.localhost:{laptop.s3}"}
    file = Request(link.replace("s3.localhost", "127.0.0.1", 1), headers=host)
    with urlopen(file, timeout=10) as answer:
        assert answer.read().startswith(b"id,title,body")


# end of sample


def test_the_edge_says_who_asks_and_keeps_what_is_private(laptop: Laptop) -> None:
    forged = {"X-Forwarded-For": "203.0.113.1", "X-Request-ID": "the-request"}
    answer = laptop.request("GET", "/api/users/me", None, forged)
    assert answer.headers["X-Request-ID"] == "the-request"
    lines = laptop.compose("logs", "--no-log-prefix", "web").splitlines()
    (line,) = [line for line in lines if '"the-request"' in line]
    assert "203.0.113.1" not in line
    assert laptop.request("GET", "/metrics").status == 404
    for path, status in (("/metrics", 404), (f"/{'x' * 9000}", 414)):
        problem = laptop.request("GET", path)
        assert (problem.status, problem.json()["status"]) == (status, status)
        assert problem.headers["Content-Type"] == "application/problem+json"
        assert problem.json()["request_id"] == problem.headers["X-Request-ID"]
    large = laptop.request("POST", "/api/users", b"x" * (2 * 2**20))
    assert (large.status, large.json()["title"]) == (413, "Content Too Large")
    assert "Server" not in answer.headers or "/" not in answer.headers["Server"]


def test_answers_are_compressed(laptop: Laptop) -> None:
    plain = laptop.request("GET", "/openapi.json")
    small = laptop.request("GET", "/openapi.json", None, {"Accept-Encoding": "gzip"})
    assert small.headers["Content-Encoding"] == "gzip"
    assert len(small.body) < len(plain.body) / 3


def test_of_three_the_one_that_is_killed_is_not_missed(laptop: Laptop, record: Record) -> None:
    laptop.compose("up", "--detach", "--wait", "--no-recreate", "--scale", "web=3")
    try:
        kill_one_of_three(laptop, record)
    finally:
        laptop.compose("up", "--detach", "--wait", "--no-recreate", "--scale", "web=1")


def kill_one_of_three(laptop: Laptop, record: Record) -> None:
    with load_on(laptop, "docker kill of one web of three", record) as load:
        victim = laptop.container("web")
        docker("kill", victim)
        load.wait_for_more(150)
        docker("start", victim)  # `restart: unless-stopped` does not follow a kill by hand
        until(lambda: health(victim) == "healthy", seconds=60)
    lost = failed(load.outcomes)
    assert len(lost) <= CLIENTS // 2, lost  # in flight on it: one of each client that writes
    assert not [each for each in lost if each.startswith("GET")]
    names = set(re.findall(r'"upstream":"([\d.]+):', laptop.compose("logs", "nginx")))
    assert len(names) >= 3


def health(container: str) -> str:
    return docker("inspect", "-f", "{{.State.Health.Status}}", container).strip()


@pytest.mark.parametrize("service", ["postgres", "redis"])
def test_a_restart_below_is_borne(laptop: Laptop, record: Record, service: str) -> None:
    with load_on(laptop, f"docker restart of {service}", record) as load:
        docker("restart", laptop.container(service))
        until(lambda: laptop.request("GET", "/health").json()["status"] == "healthy", seconds=40)
    assert {outcome.status for outcome in load.outcomes} <= {200, 201, 503}
    assert_right_or_503(load.of("POST"), laptop.url)
    if service == "redis":
        assert failed(load.outcomes) == []


def test_data_survive_the_end_of_it(laptop: Laptop) -> None:
    email, _ = sign_in(laptop)
    ids = laptop.compose("ps", "--quiet", "web", "worker", "scheduler").split()
    laptop.compose("stop", "web", "worker", "scheduler")
    codes = docker("inspect", "-f", "{{.State.ExitCode}}", *ids).split()
    assert codes == ["0", "0", "0"]
    laptop.compose("down")
    laptop.up()
    with psycopg.connect(laptop.url) as connection:
        query = "SELECT count(*) FROM users WHERE email = %s"
        assert connection.execute(query, (email,)).fetchone() == (1,)


def test_nothing_runs_with_more_than_it_needs(laptop: Laptop) -> None:
    ids = laptop.compose("ps", "--quiet").split()
    assert_hardened(ids, root="-s3-")  # whose folder is a new volume, which belongs to root
    assert {each.split()[0] for each in published(ids)} == {"127.0.0.1"}
    rights = "SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user"
    with psycopg.connect(laptop.url) as connection:
        assert connection.execute(rights).fetchone() == (False, False)


def test_what_is_under_way_is_finished_when_a_container_is_stopped(laptop: Laptop) -> None:
    """Requests and jobs: web is asked for accounts, which takes a while, and the worker has their
    mails to send, when both are told to stop."""
    web, worker = laptop.container("web"), laptop.container("worker")
    accounts = [{"email": f"{uuid4().hex}@example.com", "password": PASSWORD} for _ in range(12)]
    with ThreadPoolExecutor(len(accounts)) as clients:
        asked = [clients.submit(laptop.request, "POST", "/api/users", each) for each in accounts]
        until(lambda: any(each.done() for each in asked))
        docker("stop", web, worker)
        answers = [each.result() for each in asked]
    codes = docker("inspect", "-f", "{{.State.ExitCode}}", web, worker).split()
    assert codes == ["0", "0"]
    assert [answer.status for answer in answers] == [201] * len(accounts)
    docker("start", web, worker)
    emails = [each["email"] for each in accounts]
    query = "SELECT count(*) FROM effects JOIN users ON key = 'welcome:' || users.id::text"
    query += " WHERE email = ANY(%s)"
    with psycopg.connect(laptop.url, autocommit=True) as connection:
        done = lambda: connection.execute(query, (emails,)).fetchone() == (len(emails),)  # noqa: E731
        until(done, seconds=60)
    until(lambda: health(web) == "healthy", seconds=30)


def test_nginx_costs_little(laptop: Laptop, figure: Figure) -> None:
    """Printed, not judged: the same request to web itself, and by way of nginx, in turns."""
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
    address = docker("inspect", "-f", template, laptop.container("web")).split()[0]
    ask = a_read(laptop)
    ways = {
        "direct": HTTPConnection(address, 8000),
        "nginx": HTTPConnection("127.0.0.1", laptop.port),
    }
    try:
        times = middle_times(ways, ask)
    finally:
        for connection in ways.values():
            connection.close()
    figure("a request takes {direct:.2f} ms, by way of nginx {nginx:.2f} ms".format(**times))


def middle_times(ways: dict[str, HTTPConnection], ask: Ask) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(200):
        for name, connection in ways.items():
            start = time.monotonic()
            connection.request(ask.method, ask.path, headers=dict(ask.headers))
            response = connection.getresponse()
            response.read()
            times[name].append(time.monotonic() - start)
            assert response.status == 200
            time.sleep(0.01)  # nginx lets one address ask 100 times a second
    return {name: 1000 * median(found) for name, found in times.items()}


def test_prometheus_finds_each_process_and_can_tell_what_rules_and_dashboards_ask(
    laptop: Laptop,
) -> None:
    laptop.compose("--profile", "monitoring", "up", "--detach", "prometheus")
    api = f"http://127.0.0.1:{laptop.environment['PROMETHEUS_PORT']}/api/v1/"

    def asked(what: str) -> Any:
        with suppress(OSError), urlopen(api + what, timeout=5) as answer:
            return json.load(answer)["data"]

    def states() -> list[str]:
        return [each["health"] for each in (asked("targets") or {}).get("activeTargets", [])]

    def rules() -> list[str]:
        return [
            rule["health"]
            for group in (asked("rules") or {}).get("groups", [])
            for rule in group["rules"]
        ]

    def empty() -> set[str]:
        """The panels of which no expression has a figure."""
        found: dict[str, bool] = {}
        for where, expression in expressions():
            query = quote(expression.replace("$__rate_interval", "1m"))
            has_data = bool(asked(f"query?query={query}")["result"])
            found[where] = found.get(where, False) or has_data
        return {where for where, has_data in found.items() if not has_data}

    until(lambda: states() == ["up"] * 3, seconds=60)
    until(lambda: set(rules()) == {"ok"}, seconds=60)
    # Nothing is limited, waits, has failed or was released in this minute.
    well = {"overview: Limits", "jobs: Unfinished", "jobs: Waiting", "jobs: Failed by function"}
    well |= {f"{board}: Releases" for board in ("overview", "database", "jobs")}
    end = time.monotonic() + 120
    while (left := empty() - well) and time.monotonic() < end:
        account = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD}
        laptop.request("POST", "/api/users", account)  # whose welcome is a job
        laptop.request("GET", "/openapi.json")
        time.sleep(2)
    assert left == set()


def test_a_change_of_the_code_is_followed(engine: None, tmp_path: Path) -> None:
    """`docker compose watch`, in a copy of the repository."""
    files = call(["git", "ls-files", "--cached", "--others", "--exclude-standard"]).splitlines()
    for name in (name for name in files if (ROOT / name).is_file()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    copy = Laptop("slipway-watched", tmp_path)
    copy.compose("up", "--build", "--detach", "--wait")
    before = copy.container("web")
    watching = subprocess.Popen(
        ["docker", "compose", "watch", "--no-up"],
        cwd=tmp_path,
        env={**environment(), **copy.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert watching.stdout is not None
    try:
        next(line for line in watching.stdout if "enabled" in line.lower())
        with (tmp_path / "service" / "app.py").open("a") as code:
            code.write("\nCHANGED = True\n")
        look = "import service.app as a; print(hasattr(a, 'CHANGED'))"

        def follows() -> bool:
            now = copy.compose("ps", "--quiet", "web").split()
            if now in ([], [before]):
                return False
            return docker("exec", now[0], "python", "-c", look, check=False).strip() == "True"

        until(follows, seconds=60)
    finally:
        watching.terminate()
        print(watching.communicate()[0])  # to be seen if it failed
        copy.compose("down", "--volumes", "--timeout", "1")


def test_a_port_that_is_taken_is_named(laptop: Laptop) -> None:
    taken = {**laptop.environment, "COMPOSE_PROJECT_NAME": "slipway-taken"}
    command = ["docker", "compose", "up", "--detach", "nginx", "--no-deps"]
    try:
        said = call(command, check=False, **taken)
        assert f"127.0.0.1:{laptop.port}" in said
        assert "already" in said
    finally:
        call(["docker", "compose", "down", "--volumes"], **taken)
