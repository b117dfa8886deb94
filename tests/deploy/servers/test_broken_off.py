"""One server: what is killed or interrupted at any step fails nothing, and is none or finished."""

import signal
import time
from collections.abc import Iterator

import pytest

from tests.begun import wait_for_step
from tests.deploy.servers.faults import Fault
from tests.deploy.servers.fleet import Fleet, assert_none_failed
from tests.deploy.tables import SERVERS
from tests.waiting import until

STEPS = [
    "unpack",
    "packages",
    "check the variables",
    "start",
    "smoke test of",
    "switch to",
    "smoke test through",
    "replace",
    "smoke test with",
    "drain",
]
# Who calls is gone before the switch, at it and after it; the program on the server, at each step.
KILLED = {"caller": ["start", "switch to", "replace"], "program": STEPS}


@pytest.mark.parametrize("whom", ["program", pytest.param("caller", marks=pytest.mark.variant)])
def test_a_release_that_is_killed_is_none_or_is_finished_by_the_next(
    fleet: Fleet, whom: str
) -> None:
    """One after the other, so that each begins with what the one before has left."""
    with fleet.load(f"releases whose {whom} is killed") as load:
        for step in KILLED[whom]:
            fleet.clone.commit(step)
            kill_at(fleet, step, whom)
        version = fleet.clone.commit("the next")
        fleet.ok("release")
    assert_none_failed(load)
    assert fleet.serving() == version


def kill_at(fleet: Fleet, step: str, whom: str, verb: str = "release") -> None:
    with fleet.clone.begun(*fleet.words(verb)) as running:
        rest = wait_for_step(running, step)
        if whom == "caller":
            running.send_signal(signal.SIGKILL)
        else:
            fleet.front.sh(f"pkill -KILL -u deploy -f 'deploy.vps.host(.entry)? {verb}'")
            rest.read()
    until(lambda: fleet.status()["one"]["running"] is None, seconds=90)


SLOW = (
    "from alembic import op\nrevision = 'slow'\ndown_revision = {!r}\n"
    "def upgrade():\n    op.execute('CREATE TABLE slow (id int)')\n"
    "    op.execute('SELECT pg_sleep(3)')\n"
)


@pytest.fixture
def slow(fleet: Fleet) -> Iterator[dict[str, str]]:
    """A migration that takes a while and cannot be made twice, as a change; gone afterwards."""
    ((below,),) = fleet.database.sql("TABLE alembic_version")
    yield {"migrations/versions/slow.py": SLOW.format(below)}
    fleet.clone.back_to(fleet.clone.first)
    back = f"UPDATE alembic_version SET version_num = '{below}'"
    fleet.database.sql(f"DROP TABLE IF EXISTS slow; {back}")
    fleet.ok("release")


def test_a_release_that_is_killed_at_its_migration_is_made_by_the_next(
    fleet: Fleet, slow: dict[str, str]
) -> None:
    backups = len(fleet.ok("backups").splitlines())
    with fleet.load(
        "releases whose program is killed at the back-up, and at the migration"
    ) as load:
        fleet.clone.commit("migrates", slow)
        for step in ("back up the database", "migrate"):
            kill_at(fleet, step, "program")
        version = fleet.clone.commit("the next")
        fleet.ok("release")
    assert_none_failed(load)
    assert fleet.serving() == version
    assert fleet.database.sql("TABLE alembic_version") == [["slow"]]
    assert len(fleet.ok("backups").splitlines()) > backups


# Before the switch a rollback is called as before; after it, by the name of where it went: what
# served before that is another one.
BACK: dict[str, bool] = {"start": False, "replace": True}


@pytest.mark.parametrize("step", ["start", pytest.param("replace", marks=pytest.mark.variant)])
def test_a_rollback_that_is_killed_is_made_when_it_is_called_again(fleet: Fleet, step: str) -> None:
    version, release = fleet.serving(), fleet.status()["one"]["release"]
    fleet.clone.commit("to go back from")
    fleet.ok("release")
    with fleet.load(f"a rollback that is killed at: {step}, and called again") as load:
        kill_at(fleet, step, "program", "rollback")
        fleet.ok("rollback", *([release] if BACK[step] else []))
    assert_none_failed(load)
    assert fleet.serving() == version
    assert fleet.front.sh("readlink -f /srv/slipway/workers").endswith(f"/{release}\n")


# Whether what is set then is what the next release has.
SET = {"start": False, "replace": True}


@pytest.mark.parametrize("step", ["start", pytest.param("replace", marks=pytest.mark.variant)])
def test_variables_of_a_killed_env_set_are_none_or_are_kept(fleet: Fleet, step: str) -> None:
    variable = f"SENTRY_TRACES_SAMPLE_RATE=0.{len(step)}"
    with fleet.load(f"env set that is killed at: {step}") as load:
        with fleet.clone.begun(*fleet.words("env", "set", variable)) as running:
            rest = wait_for_step(running, step)
            fleet.front.sh("pkill -KILL -u deploy -f 'deploy.vps.host env set'")
            rest.read()
        until(lambda: fleet.status()["one"]["running"] is None, seconds=90)
        fleet.clone.commit(f"after {step}")
        fleet.ok("release")
    assert_none_failed(load)
    assert (variable in fleet.ok("env", "list").splitlines()) == SET[step]
    fleet.ok("env", "unset", "SENTRY_TRACES_SAMPLE_RATE")
    assert "is not set" in fleet.ok("env", "unset", "SENTRY_TRACES_SAMPLE_RATE")


def test_ctrl_c_before_the_switch_leaves_the_old_one_serving(fleet: Fleet) -> None:
    before = fleet.serving()
    fleet.clone.commit("interrupted")
    with (
        fleet.load("interrupted by Ctrl-C") as load,
        fleet.clone.begun(*fleet.words("release")) as running,
    ):
        rest = wait_for_step(running, "start")
        running.send_signal(signal.SIGINT)
        said = rest.read()
        assert running.wait() == 130, said
    assert_none_failed(load)
    assert fleet.serving() == before


def test_what_died_is_back_within_five_seconds(fleet: Fleet) -> None:
    with fleet.load("kill -9 of gunicorn's master, then of a worker") as load:
        killed = Fault(fleet, load, fleet.front)
        for which, script in (
            ("master", "systemctl show -P MainPID slipway-web@$COLOUR"),
            ("a process", "pgrep -P $(systemctl show -P MainPID slipway-web@$COLOUR) | head -1"),
        ):
            colour = fleet.status()["one"]["colour"]
            fleet.front.sh(f"COLOUR={colour}; kill -9 $({script})")
            start = time.monotonic()
            until(lambda: fleet.request("GET", "/health/ready").status == 200, seconds=5)
            SERVERS.figures.append(
                f"{which} of web, killed: answers after {time.monotonic() - start:.1f} s"
            )
            load.wait_for_more(50)
        killed.ends()
        load.wait_for_more(50)
    # At most one request of each client, for each kill.
    killed.assert_only_writes_in_flight_failed(most=2 * 16)
    assert {o.error for o in load.outcomes if o.error} <= {"", "RemoteDisconnected"}


def test_a_worker_that_is_killed_is_back_and_loses_no_job(fleet: Fleet) -> None:
    with fleet.load("kill -9 of the worker") as load:
        fleet.front.sh("kill -9 $(systemctl show -P MainPID slipway-worker)")
        until(
            lambda: fleet.front.sh("systemctl is-active slipway-worker", check=False) == "active\n",
            seconds=5,
        )
    assert_none_failed(load)
