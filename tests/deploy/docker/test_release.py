"""Releases on a host with Docker, under load: nobody notices, and a broken one changes nothing."""

import json
import re
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from tests.chaos.load import Ask, Load, failed
from tests.chaos.traffic import Traffic
from tests.deploy.docker.conftest import Record
from tests.deploy.docker.site import Host, Site, docker
from tests.people import PASSWORD
from tests.waiting import until

PAUSE = 0.2  # seconds: 16 clients stay below the 100 requests a second that nginx lets one address
Build = Callable[[str], str]


@pytest.fixture(scope="module")
def released(host: Host, images: Build) -> Host:
    """The host with its first release, v0."""
    ended = host.deploy("release", images("v0"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "slipway:v0 serves, as blue" in ended.stdout
    return host


def sign_up() -> Ask:
    """What takes a while (a password is hashed), and leaves a job."""
    return Ask("POST", "/api/users", {"email": f"{uuid4().hex}@example.com", "password": PASSWORD})


@contextmanager
def load_on(host: Host, scenario: str, record: Record) -> Iterator[Load]:
    traffic = Traffic(host)
    makers = (traffic.list_posts, traffic.write_post, traffic.show_post, sign_up)
    start = time.monotonic()
    with Load(host.port, *makers, tls=host.tls, pause=PAUSE) as load:
        load.wait_for_more(100)
        yield load
        load.wait_for_more(100)
    record(scenario, load.outcomes, retried(host, start), time.monotonic() - start)


def retried(host: Host, start: float) -> int:
    """How many requests nginx has sent to a second server."""
    since = f"{time.monotonic() - start + 1:.0f}s"
    logs = host.compose("logs", "--no-log-prefix", "--since", since, "nginx")
    lines = [json.loads(line) for line in logs.splitlines() if line.startswith("{")]
    return sum("," in line.get("upstream", "") for line in lines)


def test_three_releases_and_a_rollback_fail_no_request_and_lose_no_job(
    released: Host, images: Build, record: Record
) -> None:
    for version in ("v1", "v2", "v3"):
        images(version)
    before = welcomed(released)
    with load_on(released, "three releases, a rollback", record) as load:
        for version, colour in (("v1", "green"), ("v2", "blue"), ("v3", "green")):
            ended = released.deploy("release", f"slipway:{version}")
            assert f"slipway:{version} serves, as {colour}" in ended.stdout, ended.stderr
            assert released.serving() == version
        ended = released.deploy("rollback")
        assert "slipway:v2 serves, as blue" in ended.stdout, ended.stderr
        assert released.serving() == "v2"
    assert failed(load.outcomes) == []
    assert {outcome.status for outcome in load.outcomes} <= {200, 201}
    signed_up = sum(o.status == 201 and o.ask.path == "/api/users" for o in load.outcomes)
    assert signed_up > 10
    until(lambda: released.sql("SELECT count(*) FROM jobs WHERE status <> 'succeeded'") == [["0"]])
    assert welcomed(released) - before == signed_up + 1  # the traffic's own user


def welcomed(host: Host) -> int:
    """How many accounts were sent their mail."""
    return int(host.sql("SELECT count(*) FROM effects WHERE key LIKE 'welcome:%'")[0][0])


def test_the_control_fails_requests(released: Host, record: Record) -> None:
    """What people do without this tool."""
    colour = serving_colour(released)
    with load_on(released, "the control: compose up --force-recreate", record) as load:
        image = docker("inspect", "-f", "{{.Config.Image}}", container(released, colour)).strip()
        command = released.stack.compose(
            "up", "-d", "--no-deps", "--force-recreate", f"web-{colour}"
        )
        docker(*command[1:], **released.environment, **{f"{colour.upper()}_IMAGE": image})
    assert len(failed(load.outcomes)) > 0


def serving_colour(host: Host) -> str:
    (colour,) = re.findall(r"^(\w+) +serves", host.deploy("status").stdout, re.M)
    return str(colour)


def container(host: Host, colour: str) -> str:
    return host.compose("ps", "-q", f"web-{colour}").split()[0]


BROKEN = {
    "it does not start": ("RUN rm service/app.py service/__pycache__/app.*", "does not run"),
    "it never gets ready": (
        "RUN rm service/__pycache__/health.*"
        " && sed -i 's/reason = health.not_ready()/reason = \"broken\"/' service/health.py",
        "is not ready after 10 s",
    ),
    "its smoke test fails": (
        'RUN rm service/__pycache__/openapi.* && sed -i \'s/"paths":/"ways":/\' service/openapi.py',
        "/openapi.json answers 200, without paths",
    ),
    "its migration fails": (
        "RUN rm -r migrations/__pycache__ && echo 'raise RuntimeError(1)' >>migrations/env.py",
        "migrate ended with 1",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_release_leaves_the_old_one_serving(
    released: Host, record: Record, how: str
) -> None:
    line, why = BROKEN[how]
    tag = f"slipway:broken-{how.split()[-1]}"
    dockerfile = f"FROM slipway:v0\nUSER 0\n{line}\nUSER 10001:10001\n"
    docker("build", "--quiet", "--tag", tag, "-", given=dockerfile)
    before, colour = released.serving(), serving_colour(released)
    with load_on(released, f"a broken release: {how}", record) as load:
        ended = released.deploy("release", "--wait", "10", tag)
    assert (ended.returncode, failed(load.outcomes)) == (1, [])
    assert why in ended.stderr, ended.stderr
    assert "goes on serving" in ended.stderr
    assert (released.serving(), serving_colour(released)) == (before, colour)
    last = released.deploy("status").stdout.splitlines()[-1]
    assert tag in last and not last.endswith(" ok")


STEPS = [
    "postgres, redis",
    "migrate",
    "start",
    "wait until",
    "smoke test of",
    "switch to",
    "smoke test through nginx",
    "drain",
    "workers",
]


@pytest.mark.parametrize("step", STEPS)
def test_a_release_that_is_killed_at_any_step_is_none_or_is_finished_by_the_next(
    released: Host, record: Record, step: str
) -> None:
    with load_on(released, f"killed at: {step}", record) as load:
        killed = released.started("release", "slipway:v1")
        assert killed.stdout is not None
        for line in killed.stdout:
            if line.startswith(f"→ {step}"):
                killed.send_signal(signal.SIGKILL)
                break
        killed.stdout.close()
        assert killed.wait() == -signal.SIGKILL
        until(lambda: not docker("ps", "-q", "--filter", f"name={released.stack.lock}"), seconds=15)
        ended = released.deploy("release", "slipway:v2")
        assert ended.returncode == 0, ended.stderr
    assert failed(load.outcomes) == []
    assert released.serving() == "v2"


def test_two_at_once_are_refused_by_name(released: Host) -> None:
    first = released.started("release", "slipway:v3")
    assert first.stdout is not None
    next(iter(first.stdout))
    second = released.deploy("release", "slipway:v1")
    assert second.returncode == 1
    assert "a release runs already: " in second.stderr
    assert "@" in second.stderr.partition("already: ")[2]
    with first.stdout as rest:
        assert "slipway:v3 serves" in rest.read()
    assert first.wait() == 0


def test_an_image_that_is_not_there_changes_nothing(released: Host) -> None:
    before = released.serving()
    ended = released.deploy("release", "slipway:never-built")
    assert ended.returncode == 1
    assert "the image slipway:never-built is not there" in ended.stderr
    assert released.serving() == before


def test_plain_http_is_sent_to_tls_and_tls_is_modern(released: Host) -> None:
    plain = Site(int(released.environment["HTTP_PORT"]))
    answer = plain.request("GET", "/api/posts?limit=1")
    assert (answer.status, answer.headers["Location"]) == (
        308,
        "https://127.0.0.1/api/posts?limit=1",
    )
    answer = released.request("GET", "/api/posts")
    assert answer.headers.get_all("Strict-Transport-Security") == [
        "max-age=31536000; includeSubDomains"
    ]
    old = ssl._create_unverified_context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", released.port)) as raw:
        old.wrap_socket(raw)
