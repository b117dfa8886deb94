"""`docker compose up` on a laptop: the whole stack behind nginx, and what it bears."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen
from uuid import uuid4

import psycopg
import pytest

from tests.chaos.load import Load, failed
from tests.chaos.traffic import Traffic, assert_right_or_503
from tests.deploy.docker.conftest import Record
from tests.deploy.docker.site import Site, call, docker
from tests.people import PASSWORD
from tests.ports import free_port
from tests.waiting import until

PAUSE = 0.2


class Laptop(Site):
    """compose.yaml, with ports of its own."""

    def __init__(self) -> None:
        super().__init__(free_port())
        self.mail, self.s3, self.postgres = free_port(), free_port(), free_port()
        self.environment = {
            "COMPOSE_PROJECT_NAME": "slipway-laptop",
            "HTTP_PORT": str(self.port),
            "MAIL_PORT": str(self.mail),
            "S3_PORT": str(self.s3),
            "POSTGRES_PORT": str(self.postgres),
            "COMPOSE_FILE": "compose.yaml:tests/deploy/docker/limits.yaml",
        }
        self.url = f"postgresql://service:development@127.0.0.1:{self.postgres}/service"

    def compose(self, *words: str, check: bool = True) -> str:
        return call(["docker", "compose", *words], check=check, **self.environment)

    def up(self) -> float:
        """Seconds from built images to all of it healthy."""
        self.compose("build", "--quiet")
        start = time.monotonic()
        self.compose("up", "--detach", "--wait")
        return time.monotonic() - start

    def container(self, service: str) -> str:
        return self.compose("ps", "--quiet", service).split()[0]


@pytest.fixture(scope="module")
def laptop(engine: None) -> Iterator[Laptop]:
    found = Laptop()
    took = found.up()
    print(f"docker compose up: all healthy after {took:.1f} s")
    yield found
    found.compose("down", "--volumes", "--timeout", "1")


@contextmanager
def load_on(laptop: Laptop, scenario: str, record: Record) -> Iterator[Load]:
    traffic = Traffic(laptop)
    makers = (traffic.list_posts, traffic.write_post, traffic.show_post, traffic.edit_post)
    start = time.monotonic()
    with Load(laptop.port, *makers, pause=PAUSE) as load:
        load.wait_for_more(100)
        yield load
        load.wait_for_more(100)
    since = f"{time.monotonic() - start + 1:.0f}s"
    logs = laptop.compose("logs", "--no-log-prefix", "--since", since, "nginx")
    lines = [json.loads(line) for line in logs.splitlines() if line.startswith("{")]
    retried = sum("," in line.get("upstream", "") for line in lines)
    record(scenario, load.outcomes, retried, time.monotonic() - start)


def sign_in(laptop: Laptop) -> tuple[str, dict[str, str]]:
    account = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD}
    assert laptop.request("POST", "/api/users", account).status == 201
    token = laptop.request("POST", "/api/auth/login", account).json()["access_token"]
    return account["email"], {"Authorization": f"Bearer {token}"}


def test_a_mail_and_an_export_go_all_the_way(laptop: Laptop) -> None:
    email, signed_in = sign_in(laptop)

    def mails() -> list[Any]:
        with urlopen(f"http://127.0.0.1:{laptop.mail}/api/v1/messages") as answer:
            return [m for m in json.load(answer)["messages"] if m["To"][0]["Address"] == email]

    assert until(mails)[0]["Subject"].startswith("Welcome")
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


def test_the_edge_says_who_asks_and_keeps_what_is_private(laptop: Laptop) -> None:
    forged = {"X-Forwarded-For": "203.0.113.1", "X-Request-ID": "the-request"}
    answer = laptop.request("GET", "/api/posts", None, forged)
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
    with load_on(laptop, "docker kill of one web of three", record) as load:
        victim = laptop.container("web")
        docker("kill", victim)
        start = time.monotonic()
        load.wait_for_more(150)
        docker("start", victim)  # `restart: unless-stopped` does not follow a kill by hand
        until(lambda: health(victim) == "healthy", seconds=30)
        assert time.monotonic() - start < 60
    lost = failed(load.outcomes)
    assert len(lost) <= 4, lost  # what was in flight on it
    assert not [each for each in lost if each.startswith("GET")]
    names = set(re.findall(r'"upstream":"([\d.]+):', laptop.compose("logs", "nginx")))
    assert len(names) >= 3
    laptop.compose("up", "--detach", "--wait", "--no-recreate", "--scale", "web=1")


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
    for about in json.loads(docker("inspect", *ids)):
        name, config = about["Name"], about["HostConfig"]
        assert config["ReadonlyRootfs"], name
        assert config["CapDrop"] == ["ALL"], name
        assert not config["CapAdd"], name
        assert "no-new-privileges:true" in config["SecurityOpt"], name
        assert config["Memory"] > 0, name
        published = [each for ports in config["PortBindings"].values() for each in ports]
        assert all(each["HostIp"] == "127.0.0.1" for each in published), name
        ours = "s3" not in name  # whose image begins as root, to make its folder
        assert not ours or about["Config"]["User"] not in ("", "root", "0"), name


def test_a_port_that_is_taken_is_named(laptop: Laptop) -> None:
    taken = {**laptop.environment, "COMPOSE_PROJECT_NAME": "slipway-taken"}
    command = ["docker", "compose", "up", "--detach", "nginx", "--no-deps"]
    try:
        said = call(command, check=False, **taken)
        assert f"127.0.0.1:{laptop.port}" in said
        assert "already" in said
    finally:
        call(["docker", "compose", "down", "--volumes"], **taken)
