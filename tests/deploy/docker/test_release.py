"""Releases on a host with Docker, under load: nobody notices, and a broken one changes nothing."""

import re
import shutil
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.docker.stack import NGINX_IMAGE, other
from service.environment import environment
from tests.begun import wait_for_step
from tests.chaos.load import Ask, Load, failed
from tests.chaos.traffic import Traffic
from tests.deploy.docker.conftest import Record
from tests.deploy.docker.site import Host, Site, assert_hardened, docker, published, retried
from tests.people import PASSWORD
from tests.waiting import until

PAUSE = 0.4  # seconds: 16 clients stay below the 100 requests a second that nginx lets one address
Build = Callable[[str], str]


@pytest.fixture(scope="module")
def released(host: Host, images: Build) -> Host:
    """The host with its first release, v0, and the images of those to come."""
    for version in ("v0", "v1", "v2", "v3"):
        images(version)
    ended = host.deploy("release", "slipway:v0")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "slipway:v0 serves, as blue" in ended.stdout
    return host


def sign_up() -> Ask:
    """What takes a while (a password is hashed), and leaves a job."""
    return Ask("POST", "/api/users", {"email": f"{uuid4().hex}@example.com", "password": PASSWORD})


@contextmanager
def load_on(host: Host, scenario: str, record: Record) -> Iterator[Load]:
    traffic = Traffic(host)
    makers = (*(traffic.index, traffic.create, traffic.show) * 2, traffic.index, sign_up)
    start = time.monotonic()
    with Load(host.port, *makers, tls=host.tls, pause=PAUSE) as load:
        load.wait_for_more(100)
        yield load
        load.wait_for_more(100)
    since = f"{time.monotonic() - start + 1:.0f}s"
    logs = host.compose("logs", "--no-log-prefix", "--since", since, "nginx")
    record(scenario, load.outcomes, retried(logs), time.monotonic() - start)


def test_three_releases_and_a_rollback_fail_no_request_and_lose_no_job(
    released: Host, record: Record
) -> None:
    until(lambda: unfinished(released) == 0)
    before = welcomed(released)
    with load_on(released, "three releases, a rollback", record) as load:
        for version in ("v1", "v2", "v3"):
            colour = other(serving_colour(released))
            ended = released.deploy("release", f"slipway:{version}")
            assert f"slipway:{version} serves, as {colour}" in ended.stdout, ended.stderr
            assert released.serving() == version
        ended = released.deploy("rollback")
        assert f"slipway:v2 serves, as {other(colour)}" in ended.stdout, ended.stderr
        assert released.deploy("rollback").returncode == 1  # v3 was gone back from
        assert released.serving() == "v2"
    assert failed(load.outcomes) == []
    assert {outcome.status for outcome in load.outcomes} <= {200, 201}
    signed_up = sum(o.status == 201 and o.ask.path == "/api/users" for o in load.outcomes)
    assert signed_up > 10
    until(lambda: unfinished(released) == 0)
    assert welcomed(released) - before == signed_up + 1  # the traffic's own user


def unfinished(host: Host) -> int:
    return int(host.sql("SELECT count(*) FROM jobs WHERE status <> 'succeeded'")[0][0])


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
    until(lambda: released.request("GET", "/health/ready").status == 200, seconds=60)
    # What serves now has passed no test of ours: it is nothing that others may begin with.
    assert released.deploy("release", "slipway:v1").returncode == 0


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
        """RUN python - <<'END'
from pathlib import Path
from service.migrations import known
Path("migrations/versions/broken.py").write_text(
    "from alembic import op\\n"
    f"revision = 'broken'\\ndown_revision = '{known()[1]}'\\n"
    "def upgrade(): op.execute('SELECT 1 / 0')\\n"
)
END""",
        "migrate ended with 1",
    ),
}


def broken(name: str, line: str) -> str:
    tag = f"slipway:broken-{name}"
    dockerfile = f"FROM slipway:v0\nUSER 0\n{line}\nUSER 10001:10001\n"
    docker("build", "--quiet", "--tag", tag, "-", given=dockerfile)
    return tag


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_release_leaves_the_old_one_serving(
    released: Host, record: Record, how: str
) -> None:
    line, why = BROKEN[how]
    tag = broken(how.replace(" ", "-"), line)
    before, colour = released.serving(), serving_colour(released)
    with load_on(released, f"a broken release: {how}", record) as load:
        wait = ["--wait", "10"] if "after 10 s" in why else []
        ended = released.deploy("release", *wait, tag)
    assert (ended.returncode, failed(load.outcomes)) == (1, [])
    assert why in ended.stderr, ended.stderr
    assert f"serves, as {colour}." in ended.stderr
    assert (released.serving(), serving_colour(released)) == (before, colour)
    last = released.deploy("status").stdout.splitlines()[-1]
    assert tag in last and not last.endswith((" ok", " begun"))


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


def test_a_release_that_is_killed_at_any_step_is_none_or_is_finished_by_the_next(
    released: Host, record: Record
) -> None:
    """One after the other, so that each begins with what the one before has left."""
    with load_on(released, "releases killed at each of nine steps", record) as load:
        for step in STEPS:
            with released.begun("release", "slipway:v1") as killed:
                wait_for_step(killed, step)
                killed.send_signal(signal.SIGKILL)
            assert killed.returncode == -signal.SIGKILL, step
            wait_for_the_lock(released)
            assert failed(load.outcomes) == [], step
        ended = released.deploy("release", "slipway:v2")
        assert ended.returncode == 0, ended.stderr
    assert failed(load.outcomes) == []
    assert released.serving() == "v2"


def wait_for_the_lock(host: Host) -> None:
    until(lambda: not docker("ps", "-q", "--filter", f"name={host.stack.lock}"), seconds=60)


@pytest.mark.variant
def test_a_release_that_is_killed_between_a_file_and_nginx_is_finished_by_the_next(
    released: Host, record: Record, tmp_path: Path
) -> None:
    """nginx's files say another thing than what it does: it is killed at each reload, before it."""
    with load_on(released, "releases killed before each reload of nginx", record) as load:
        for reload in (1, 2, 3):
            killed = released.deploy("release", "slipway:v1", PATH=killer(tmp_path, reload))
            assert killed.returncode == -signal.SIGKILL, (reload, killed.stdout, killed.stderr)
            wait_for_the_lock(released)
        ended = released.deploy("release", "slipway:v3")
        assert ended.returncode == 0, ended.stderr
    assert failed(load.outcomes) == []
    assert released.serving() == "v3"


def killer(folder: Path, reload: int) -> str:
    """A PATH with a docker that kills who calls it, before the reload of that number; the first
    is the one by which a release has nginx at rest."""
    (folder / "count").write_text("x")
    (folder / "docker").write_text(
        f"""#!/bin/sh
case "$*" in *"-s reload")
    echo x >>{folder}/count
    [ "$(wc -l <{folder}/count)" = {reload + 1} ] && kill -9 $PPID && exit 1
esac
exec {shutil.which("docker")} "$@"
"""
    )
    (folder / "docker").chmod(0o755)
    return f"{folder}:{environment()['PATH']}"


def wrong_behind_nginx() -> str:
    """An image that answers the smoke test wrongly, but only by way of nginx: others are not
    harmed."""
    wrong = (
        "service, app = app, lambda environ, start: ("
        " start('500 Wrong', []) or [] if environ.get('HTTP_USER_AGENT') == 'smoke'"
        " and 'HTTP_X_FORWARDED_HOST' in environ else service(environ, start))"
    )
    line = f'RUN echo "{wrong}" >>service/wsgi.py && rm -r service/__pycache__'
    return broken("behind-nginx", line)


def test_a_release_that_fails_behind_nginx_only_is_switched_back(
    released: Host, record: Record
) -> None:
    tag = wrong_behind_nginx()
    before, colour = released.serving(), serving_colour(released)
    with load_on(released, "a broken release: it fails behind nginx", record) as load:
        ended = released.deploy("release", tag)
    assert (ended.returncode, failed(load.outcomes)) == (1, [])
    assert f"→ switch back to {colour}" in ended.stdout
    assert f"serves, as {colour}." in ended.stderr
    assert (released.serving(), serving_colour(released)) == (before, colour)
    # The other colour has never served: it is nothing to go back to.
    refused = released.deploy("rollback")
    assert refused.returncode == 1
    assert "there is nothing to go back to" in refused.stderr


@pytest.mark.parametrize("wrong", [True, pytest.param(False, marks=pytest.mark.variant)])
def test_ctrl_c_while_a_version_is_tested_behind_nginx_leaves_no_doubt(
    released: Host, record: Record, wrong: bool
) -> None:
    """A wrong one is switched back from; of a right one, it is known that it serves."""
    tag = wrong_behind_nginx() if wrong else "slipway:v3"
    before = released.serving(), serving_colour(released)
    with load_on(released, f"interrupted after the switch, wrong: {wrong}", record) as load:
        with released.begun("release", tag) as stopped:
            rest = wait_for_step(stopped, "smoke test through nginx")
            stopped.send_signal(signal.SIGINT)
            said = rest.read()
            assert stopped.wait() == (1 if wrong else 130), said
        assert ("→ switch back to" in said) == wrong
        now = before if wrong else ("v3", other(before[1]))
        assert (released.serving(), serving_colour(released)) == now
        assert released.deploy("release", "slipway:v1").returncode == 0
    assert failed(load.outcomes) == []


@pytest.mark.variant
def test_a_rollback_that_is_broken_off_and_called_again_does_not_go_forward(
    released: Host, record: Record
) -> None:
    for version in ("v1", "v2"):
        assert released.deploy("release", f"slipway:{version}").returncode == 0
    with load_on(released, "a rollback killed after the switch, and called again", record) as load:
        with released.begun("rollback") as killed:
            wait_for_step(killed, "drain")
            killed.send_signal(signal.SIGKILL)
        wait_for_the_lock(released)
        assert released.deploy("rollback").returncode == 1
        assert released.serving() == "v1"
        assert released.deploy("release", "slipway:v1").returncode == 0
    assert failed(load.outcomes) == []


def test_a_tag_that_moves_takes_nothing_with_it(released: Host) -> None:
    for version in ("v1", "v2"):
        docker("tag", f"slipway:{version}", "slipway:latest")
        assert released.deploy("release", "slipway:latest").returncode == 0
        assert released.serving() == version
    assert released.deploy("rollback").returncode == 0
    assert released.serving() == "v1"
    runs = {id for each in ("worker", "scheduler") for id in image_of(released, each)}
    assert runs == {docker("image", "inspect", "-f", "{{.Id}}", "slipway:v1").strip()}


def image_of(host: Host, service: str) -> list[str]:
    ids = host.compose("ps", "-q", service).split()
    return docker("inspect", "-f", "{{.Image}}", *ids).split()


def test_what_was_done_by_hand_is_in_nobody_s_way(released: Host) -> None:
    """A container of `compose run` that was left, and a worker that was started again."""
    tag, colour = f"slipway:{released.serving()}", serving_colour(released)
    images = {"BLUE_IMAGE": tag, "GREEN_IMAGE": tag}
    by_hand = released.stack.compose("run", "-T", "--no-deps", f"web-{other(colour)}", "true")
    docker(*by_hand[1:], **released.environment, **images)
    (worker,) = released.compose("ps", "-q", "worker").split()
    docker("exec", worker, "python", "-c", "import os, signal; os.kill(1, signal.SIGTERM)")
    count = ("inspect", "-f", "{{.RestartCount}}{{.State.Running}}", worker)
    until(lambda: docker(*count).strip() == "1true", seconds=60)
    ended = released.deploy("release", tag)
    assert f"{tag} serves" in ended.stdout, ended.stderr
    assert released.compose("ps", "-q", "worker").split() != [worker]
    assert released.deploy("rollback").returncode == 0


def test_what_runs_is_believed_and_not_the_file(released: Host, record: Record) -> None:
    """As after a kill between file and reload, and somebody who tidied up since."""
    idle = other(serving_colour(released))
    script = (
        "cd /edge && cp -r $(readlink current) 1-by-hand && ln -sfn 1-by-hand current"
        f" && sed -i s/web-{other(idle)}/web-{idle}/ current/servers.conf"
    )
    released.compose("stop", f"web-{idle}")
    volume = ("--volume", f"{released.stack.volume}:/edge")
    docker("run", "--rm", "--user", "0", *volume, "--entrypoint", "sh", NGINX_IMAGE, "-c", script)
    said = released.deploy("status")
    assert (said.returncode, f"nothing serves: web-{idle}" in said.stderr) == (1, True)
    with load_on(
        released, "a release where the file names a colour that is stopped", record
    ) as load:
        ended = released.deploy("release", "slipway:v1")
        assert f"slipway:v1 serves, as {idle}" in ended.stdout, ended.stderr
    assert failed(load.outcomes) == []


@pytest.mark.parametrize(
    "step",
    [
        "wait until",
        pytest.param("smoke test through nginx", marks=pytest.mark.variant),
        pytest.param("drain", marks=pytest.mark.variant),
    ],
)
def test_who_has_lost_the_lock_stops_nothing(released: Host, record: Record, step: str) -> None:
    """Frozen (a laptop that sleeps), its lock taken away, another release by somebody else."""
    with load_on(released, f"a release that lost its lock at: {step}", record) as load:
        with released.begun("release", "slipway:v2") as lost:
            rest = wait_for_step(lost, step)
            lost.send_signal(signal.SIGSTOP)
            docker("rm", "--force", released.stack.lock)
            ended = released.deploy("release", "slipway:v3")
            assert ended.returncode == 0, ended.stderr
            lost.send_signal(signal.SIGCONT)
            assert "No such container" in rest.read()
            assert lost.wait() == 1
        assert released.serving() == "v3"
    assert failed(load.outcomes) == []
    assert released.deploy("status").returncode == 0


def test_that_nginx_is_down_is_said(released: Host) -> None:
    released.compose("stop", "nginx")
    said = released.deploy("status")
    assert (said.returncode, "nginx does not run" in said.stderr) == (1, True)
    ended = released.deploy("release", "slipway:v1")
    assert ended.returncode == 0, ended.stderr
    assert released.serving() == "v1"


def test_on_a_host_too_nothing_runs_with_more_than_it_needs(released: Host) -> None:
    ids = released.compose("ps", "-q").split()
    assert_hardened(ids)
    assert published(ids) == {"0.0.0.0 80/tcp", "0.0.0.0 443/tcp"}
    assert released.sql("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [["f"]]
    # No secret in what Docker shows of a container; Redis asks for its password.
    shown = docker("inspect", *ids) + "".join(docker("top", each) for each in ids)
    secrets = [path.read_text().strip() for path in released.folder.glob("secrets/*/*")]
    assert len(secrets) == 6
    assert [secret for secret in secrets if secret in shown] == []
    said = released.compose("exec", "-T", "redis", "redis-cli", "-e", "dbsize", check=False)
    assert "NOAUTH" in said


def test_ctrl_c_leaves_nothing_half_done(released: Host, record: Record) -> None:
    """Where it hurts most: while the workers are replaced."""
    with load_on(released, "a release that is interrupted at its workers", record) as load:
        (old,) = released.compose("ps", "--quiet", "worker").split()
        with released.begun("release", "slipway:v1") as stopped:
            rest = wait_for_step(stopped, "workers")
            until(lambda: old not in docker("ps", "--quiet", "--no-trunc"))  # Compose is at it
            stopped.send_signal(signal.SIGINT)
            assert "What serves goes on" in rest.read()
            assert stopped.wait() == 130
        said = released.deploy("status").stdout
        assert re.search(r"^worker +slipway:v1 +v1 +running/", said, re.M), said
        assert re.search(r"^scheduler +slipway:v1 +v1 +running/", said, re.M), said
    assert failed(load.outcomes) == []


def test_as_many_containers_as_serve_are_started(released: Host) -> None:
    assert released.deploy("release", "--replicas", "2", "slipway:v1").returncode == 0
    for words in (["release", "slipway:v2"], ["rollback"]):
        ended = released.deploy(*words)
        assert ended.returncode == 0, ended.stderr
        assert len(released.compose("ps", "-q", f"web-{serving_colour(released)}").split()) == 2
    assert released.deploy("release", "--replicas", "1", "slipway:v1").returncode == 0


def test_two_at_once_are_refused_by_name(released: Host) -> None:
    with released.begun("release", "slipway:v3") as first:
        rest = wait_for_step(first, STEPS[0])
        second = released.deploy("release", "slipway:v1")
        assert second.returncode == 1
        assert "a release runs already: " in second.stderr
        assert "@" in second.stderr.partition("already: ")[2]
        assert f"docker rm --force {released.stack.lock}" in second.stderr
        assert "a release runs: " in released.deploy("status").stdout
        said = rest.read()
        assert "slipway:v3 serves" in said, said
        assert first.wait() == 0


def test_an_image_that_is_not_there_changes_nothing(released: Host) -> None:
    before = released.serving()
    ended = released.deploy("release", "slipway:never-built")
    assert ended.returncode == 1
    assert "slipway:never-built is neither here nor can it be pulled" in ended.stderr
    assert released.serving() == before


def test_plain_http_is_sent_to_tls_and_tls_is_modern(released: Host) -> None:
    plain = Site(int(released.environment["HTTP_PORT"]))
    answer = plain.request("GET", "/api/users/me?x=1")
    assert (answer.status, answer.headers["Location"]) == (
        308,
        "https://127.0.0.1/api/users/me?x=1",
    )
    answer = released.request("GET", "/api/users/me")
    assert answer.headers.get_all("Strict-Transport-Security") == [
        "max-age=31536000; includeSubDomains"
    ]
    old = ssl._create_unverified_context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", released.port)) as raw:
        old.wrap_socket(raw)
