"""Three servers behind a balancer: one after the other, and none when one of them fails."""

import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.begun import wait_for, wait_for_step
from tests.deploy.docker.site import docker
from tests.deploy.platforms.builds import revision
from tests.deploy.servers.clone import broken_revision
from tests.deploy.servers.faults import EATER, fault, held_up, processes
from tests.deploy.servers.fleet import PAUSE, Fleet, assert_none_failed, provisioned
from tests.deploy.servers.lab import Server
from tests.deploy.tables import SERVERS
from tests.waiting import until


@pytest.fixture(scope="module")
def three(keys: Path, key: str) -> Iterator[Fleet]:
    """Three servers, of which one is the balancer too and has the database."""
    folder = Path(tempfile.mkdtemp(prefix="service-three-"))
    names = ("front", "second", "third")
    with (
        Server(names[0], key) as front,
        Server(names[1], key) as second,
        Server(names[2], key) as third,
    ):
        roles = {
            front: ("balancer", "web", "worker", "database", "redis"),
            second: ("web", "worker"),
            third: ("web", "worker"),
        }
        yield provisioned(folder, keys, key, roles)
    shutil.rmtree(folder)


def test_a_rolling_release_a_rollback_and_a_variable_fail_no_request(three: Fleet) -> None:
    with three.load("three servers: a canary and the others, a rollback, env set") as load:
        before, version = three.serving(), three.clone.commit("rolled")
        said = three.ok("release", "--canary", "3s")
        assert "The others follow in 3 s" in said
        assert set(three.commits().values()) == {version}
        three.ok("rollback")
        assert set(three.commits().values()) == {before}
        three.ok("env", "set", "LOG_LEVEL=INFO")
        listed = three.ok("env", "list").splitlines()
        assert "LOG_LEVEL=INFO" in listed  # the same on all
    assert_none_failed(load)
    assert all(one["out"] == [] for one in three.status().values())


@pytest.mark.parametrize(
    "unit", ["slipway-web@", pytest.param("slipway-worker", marks=pytest.mark.variant)]
)
def test_a_release_that_fails_on_the_last_server_goes_back_on_all(three: Fleet, unit: str) -> None:
    before, third = three.commits(), three.servers[-1]
    version = three.clone.commit("fails on the third")
    scenario = f"a rolling release: {unit.rpartition('-')[2]} fails on the third"
    with held_up(third, unit, version), three.load(scenario) as load:
        ended = three.vps("release")
    assert ended.returncode == 1, ended.stdout
    assert "failed: third: " in ended.stderr
    assert_none_failed(load)
    assert three.commits() == before
    assert all(one["out"] == [] for one in three.status().values())


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.variant)]
)
def test_a_release_that_is_ended_while_a_server_is_out_leaves_nobody_out(
    three: Fleet, number: signal.Signals
) -> None:
    """By the next one, who was killed; by itself, who was told, as a job that CI cancels."""
    before, version = three.commits(), three.clone.commit(f"ended by {number.name}")
    scenario = f"a rolling release, {number.name} when a server is out, and another"
    with three.load(scenario) as load:
        with three.clone.begun(*three.words("release")) as running:
            rest = wait_for_step(running, "front")
            until(lambda: "out-front" in three.front.sh("ls /srv/slipway/edge"))
            running.send_signal(number)
            if number is signal.SIGTERM:
                last = rest.read().splitlines()[-1]
                assert last == "stopped; `vps status` says what serves now"
            ended = running.wait()
        until(lambda: all(one["running"] is None for one in three.status().values()), seconds=90)
        assert three.commits() == before
        out, again = three.status()["front"]["out"], "front: gets requests again"
        if number is signal.SIGKILL:
            assert (ended, out) == (-signal.SIGKILL, ["front"])
            assert again in three.ok("release")
        else:
            assert (ended, out) == (130, [])
            assert again not in three.ok("release")
    assert_none_failed(load)
    assert set(three.commits().values()) == {version}
    assert all(one["out"] == [] for one in three.status().values())


def test_a_migration_is_made_once_after_a_back_up(three: Fleet) -> None:
    """Whoever called for it is killed when it begins, and calls again."""
    name, text = revision("v2") or ("", "")
    count = len(three.ok("backups").splitlines())
    version = three.clone.commit("migrates", {f"migrations/versions/{name}": text})
    with three.load("a rolling release with a migration") as load:
        with three.clone.begun(*three.words("release")) as killed:
            wait_for_step(killed, "migrate")
            killed.send_signal(signal.SIGKILL)
        until(lambda: all(one["running"] is None for one in three.status().values()), seconds=90)
        three.ok("release")
    assert_none_failed(load)
    assert set(three.commits().values()) == {version}
    assert three.database.sql("TABLE alembic_version") == [["rehearsed"]]
    assert len(three.ok("backups").splitlines()) > count
    with three.load("and back, with the schema ahead") as load:
        three.ok("rollback")
    assert_none_failed(load)


def test_a_process_that_eats_all_memory_is_replaced_and_the_others_serve(three: Fleet) -> None:
    """The limit is of the server, as a unit's has no effect in the lab."""
    wsgi = three.clone.folder / "service" / "wsgi.py"
    three.clone.commit("eats", {"service/wsgi.py": wsgi.read_text() + EATER})
    three.ok("release")
    third, colour = three.servers[-1], three.status()["third"]["colour"]
    before = processes(third, colour)
    ask = "curl -s -m 20 -o /dev/null -X POST -H 'X-Eat: 1' -H 'Host: api.example.com'"
    docker("update", "--memory=900m", "--memory-swap=900m", third.container)
    try:
        with three.load("a process of one of three servers eats all its memory") as load:
            with fault(three, load, third) as eaten:
                three.front.sh(f"{ask} http://{third.address}:8080/api/users", check=False)
                until(lambda: three.status()["third"].get("health") == "healthy", seconds=5)
                load.wait_for_more(50)  # which are more than there are clients
            load.wait_for_more(50)
    finally:
        docker("update", "--memory=100g", "--memory-swap=100g", third.container)
    assert processes(third, colour) != before  # one of them was killed
    eaten.assert_only_writes_in_flight_failed(most=6)
    three.ok("rollback")


def test_a_migration_that_fails_is_seen_before_any_server_is_touched(three: Fleet) -> None:
    before, ((schema,),) = three.commits(), three.database.sql("TABLE alembic_version")
    three.clone.commit("broken", broken_revision(schema))
    with three.load("a rolling release whose migration fails") as load:
        ended = three.vps("release")
    three.clone.git("reset", "--quiet", "--hard", "HEAD~1")
    assert ended.returncode == 1
    assert "division by zero" in ended.stdout + ended.stderr
    assert "balancer" not in ended.stdout
    assert_none_failed(load)
    assert three.commits() == before


def test_a_reboot_of_one_fails_at_most_what_was_under_way_on_it(three: Fleet) -> None:
    with three.load("a reboot of one of three servers") as load:
        third = three.servers[-1]
        with fault(three, load, third) as reboot:
            rebooted = threading.Thread(target=third.reboot)
            rebooted.start()
            while rebooted.is_alive():
                load.wait_for_more(20)
            rebooted.join()
            until(lambda: three.status()["third"].get("health") == "healthy", seconds=60)
        load.wait_for_more(200)
    # 16 clients, a third of whose requests are on it: those in flight, once.
    reboot.assert_only_writes_in_flight_failed(most=6)


def test_status_of_three_servers_is_there_in_a_moment(three: Fleet) -> None:
    until(lambda: three.vps("status").returncode == 0)  # a worker may have been started just now
    start = time.monotonic()
    ended = three.vps("status")
    seconds = time.monotonic() - start
    assert ended.returncode == 0, ended.stdout
    assert re.search(r"^front .* healthy .* % free .* days$", ended.stdout, re.M), ended.stdout
    SERVERS.figures.append(f"status of three servers: {seconds:.1f} s")


def test_a_canary_is_taken_back_by_ctrl_c(three: Fleet) -> None:
    before = three.commits()
    three.clone.commit("a canary that is not liked")
    command = three.words("release", "--canary", "60s")
    with three.load("a canary that is taken back") as load, three.clone.begun(*command) as running:
        rest = wait_for(running, "The others follow in 60 s")
        running.send_signal(signal.SIGINT)
        said = rest.read()
        assert running.wait() == 130, said
    assert_none_failed(load)
    assert three.commits() == before


def test_a_server_that_is_out_gets_no_requests_and_stops_a_release(three: Fleet) -> None:
    three.ok("balance", "out", "third")
    try:
        third = three.servers[-1]
        asked = "wc -l </var/log/nginx/access.log"
        with three.load("one of three is out of the balancer", pause=PAUSE) as load:
            before = third.sh(asked)
            load.wait_for_more(100)
            assert third.sh(asked) == before
        assert_none_failed(load)
        refused = three.vps("release")
        assert (refused.returncode, "third: out of the balancer" in refused.stderr) == (1, True)
    finally:
        three.ok("balance", "in", "third")


def test_the_last_that_answers_is_not_taken_out_to_go_back(three: Fleet) -> None:
    """One is out, and of the two that are in, one has no web any more."""
    three.clone.commit("to go back from")
    three.ok("release")
    three.ok("balance", "out", "third")
    try:
        second = three.servers[1]
        colour = three.status()[second.name]["colour"]
        second.sh(f"systemctl stop slipway-web@{colour}.socket slipway-web@{colour}.service")
        three.ok("rollback")
    finally:
        three.ok("balance", "in", "third")
    assert len(set(three.commits().values())) == 1
    until(lambda: three.vps("status").returncode == 0)


def test_status_says_that_nginx_is_down(three: Fleet) -> None:
    three.front.sh("systemctl stop nginx")
    try:
        ended = three.vps("status")
        assert (ended.returncode, "nginx is inactive" in ended.stdout) == (1, True)
    finally:
        three.front.sh("systemctl start nginx")
    well = until(lambda: (found := three.vps("status")).returncode == 0 and found)
    assert "has not been told" not in well.stdout


def test_a_push_to_one_of_several_is_refused_and_says_what_to_do(three: Fleet) -> None:
    url = f"deploy@{three.front.address}:/srv/slipway/repository.git"
    pushed = three.clone.git("push", url, "main", check=False, GIT_SSH_COMMAND=three.git_ssh)
    assert pushed.returncode == 1
    assert "python -m deploy vps release" in pushed.stderr
