"""Jobs through every fault: what is committed is done, once; the control, plain RQ, loses some."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil
import psycopg
import pytest

from service.db import session
from service.devservers import Postgres, Redis
from service.environment import ROOT
from service.outbox import enqueue
from tests.chaos import records
from tests.chaos.plant import QUICK, Outcome, Plant, meanwhile
from tests.children import Logs
from tests.serving import Served
from tests.waiting import until

JOBS = 150
SCHEDULERS = "three schedulers, and Redis emptied"
POISON = "poison jobs among them"
ALL = "all of it, one after the other"
NAIVE = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'naive'"
Table = Callable[[str, Outcome], None]


@pytest.fixture(scope="module")
def own_redis(server: Postgres) -> Iterator[Redis]:
    with Redis(server.folder.parent / "redis-of-jobs") as started:
        yield started


@contextmanager
def plant_of(server: Postgres, redis: Redis, **more: str) -> Iterator[Plant]:
    with Plant(server, redis, **{**QUICK, **more}) as built:
        yield built


@pytest.fixture
def plant(server: Postgres, own_redis: Redis) -> Iterator[Plant]:
    with plant_of(server, own_redis) as built:
        yield built


def kill_workers(plant: Plant) -> None:
    """kill -9 of a process that runs jobs, ours and naive, again and again."""
    for _ in range(8):
        time.sleep(0.4)
        for kind in ("worker", "naive"):
            with suppress(psutil.NoSuchProcess):  # it has ended since it was listed
                if running := plant.processes(kind):
                    random.choice(running).kill()


def frozen_amid_a_job(plant: Plant) -> bool:
    """Whether our worker stands still, while it runs a job: or a fault would do nothing to it."""
    plant.signal_all("worker", signal.SIGSTOP)
    if plant.count("running"):
        return True
    plant.signal_all("worker", signal.SIGCONT)
    return False


def kill_whole_workers(plant: Plant) -> None:
    """kill -9 of the worker with all its processes: nobody is left to notice."""
    for _ in range(4):
        until(lambda: plant.processes("naive"))
        until(lambda: frozen_amid_a_job(plant), seconds=5)
        for kind in ("worker", "naive"):
            plant.signal_all(kind, signal.SIGKILL)
        time.sleep(0.5)


def stop_workers(plant: Plant) -> None:
    """SIGTERM to the worker alone."""
    for _ in range(3):
        time.sleep(1)
        for kind in ("worker", "naive"):
            plant.one(kind).process.send_signal(signal.SIGTERM)


def stop_groups(plant: Plant) -> None:
    """SIGTERM to every process of the worker, as Heroku and systemd do."""
    for _ in range(4):
        until(lambda: plant.processes("naive"))
        for kind in ("worker", "naive"):
            plant.signal_all(kind, signal.SIGTERM)
        time.sleep(0.5)


def freeze_workers(plant: Plant) -> None:
    """SIGSTOP for longer than the lease, and back."""
    frozen = [plant.one(kind) for kind in ("worker", "naive")]
    until(lambda: frozen_amid_a_job(plant), seconds=5)
    plant.one("naive").signal_group(signal.SIGSTOP)
    plant.add("worker")
    time.sleep(13)
    for child in frozen:
        child.signal_group(signal.SIGCONT)


def stop_redis(plant: Plant) -> None:
    """Redis is away for 10 s."""
    time.sleep(1)
    plant.redis.stop()
    time.sleep(10)
    plant.redis.start()


def flush_redis(plant: Plant) -> None:
    for _ in range(3):
        time.sleep(1)
        plant.client.flushall()


def crash_redis(plant: Plant) -> None:
    """Killed, with the last second of its appends lost."""
    time.sleep(2)
    plant.redis.kill()
    lose_the_last_appends(plant.redis)
    plant.redis.start()


def lose_the_last_appends(redis: Redis, share: float = 0.5) -> None:
    """As if the machine had crashed: what was not on the disk is gone. Half of the file is more
    than a second's."""
    for path in (redis.data / "appendonlydir").glob("*.incr.aof"):
        lines = path.read_bytes()
        cut = lines.rfind(b"\r\n*", 0, int(len(lines) * share)) + 2
        path.write_bytes(lines[:cut] if cut > 2 else b"")


def replace_redis(plant: Plant) -> None:
    """Replaced by an empty one."""
    time.sleep(2)
    plant.redis.kill()
    for path in (plant.redis.data / "appendonlydir").glob("*"):
        path.unlink()
    plant.redis.start()


def restart_postgres(plant: Plant) -> None:
    time.sleep(1.5)
    plant.postgres.restart()


def cut_connections(plant: Plant) -> None:
    """All connections of the database end, several times."""
    for _ in range(12):
        time.sleep(0.25)
        with psycopg.connect(plant.postgres.url, autocommit=True) as connection:
            with suppress(AssertionError):  # amid a job of the control, which may else lose none
                until(lambda: connection.execute(NAIVE).fetchone(), seconds=1)
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )


def kill_relays(plant: Plant) -> None:
    """kill -9 of the scheduler at random moments; each time hand-overs are lost too."""
    for _ in range(6):
        time.sleep(random.uniform(0.2, 0.8))
        plant.client.flushall()
        plant.one("scheduler").signal_group(signal.SIGKILL)


FAULTS: dict[Callable[[Plant], None], float] = {
    kill_workers: 30,
    kill_whole_workers: 30,
    stop_workers: 30,
    stop_groups: 30,
    freeze_workers: 40,
    stop_redis: 40,
    flush_redis: 30,
    crash_redis: 30,
    replace_redis: 30,
    restart_postgres: 30,
    cut_connections: 30,
    kill_relays: 40,
}


# What takes jobs from workers, so that they are tried again: or the fault did nothing.
TAKES_JOBS = (kill_whole_workers, freeze_workers)

# RQ's own worker finishes its job after a SIGTERM, and goes on after a SIGCONT.
NAIVE_SURVIVES = (stop_workers, freeze_workers)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_no_job_is_lost_or_done_twice(
    fault: Callable[[Plant], None], plant: Plant, jobs_table: Table
) -> None:
    with meanwhile(lambda: fault(plant)):
        plant.produce(JOBS, pause=0.02)
    outcome = plant.outcome(plant.settle(FAULTS[fault]))
    jobs_table(fault.__name__.replace("_", " "), outcome)
    assert outcome.stuck == 0
    assert (outcome.ours.lost, outcome.ours.twice, outcome.ghosts) == (0, 0, 0)
    assert outcome.ours.jobs > JOBS // 2
    if fault in TAKES_JOBS:
        assert outcome.again > 0
    if fault not in NAIVE_SURVIVES:
        assert outcome.naive.lost > 0


def test_the_page_shows_each_fault() -> None:
    """With what `make test-chaos` printed when it was written."""
    page = (ROOT / "docs" / "rehearsals.md").read_text()
    table = page.split("<!-- jobs -->")[1].split("<!-- /jobs -->")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.split("\n") if line]
    shown = {row[0]: row[3:5] for row in rows[2:]}
    names = {fault.__name__.replace("_", " ") for fault in FAULTS}
    assert set(shown) == names | {SCHEDULERS, POISON, ALL}
    assert all(lost_and_twice == ["0", "0"] for lost_and_twice in shown.values())


def test_of_three_schedulers_no_job_is_lost_or_done_twice(plant: Plant, jobs_table: Table) -> None:
    """tests/test_relay.py counts what is handed over twice, beside a relay that does not lock."""
    plant.add("scheduler")
    plant.add("scheduler")
    with meanwhile(lambda: flush_redis(plant)):
        plant.produce(JOBS, pause=0.02)
    outcome = plant.outcome(plant.settle(30))
    jobs_table(SCHEDULERS, outcome)
    assert (outcome.stuck, outcome.ours.lost, outcome.ours.twice, outcome.ghosts) == (0, 0, 0, 0)


def test_a_poison_job_fails_for_good_and_takes_nobody_with_it(
    plant: Plant, jobs_table: Table
) -> None:
    def poison() -> None:
        for number in range(3):
            time.sleep(0.5)
            with plant.app.app_context():
                enqueue(session, records.poison, f"poison {number}")
                session.commit()

    with meanwhile(poison):
        plant.produce(JOBS, pause=0.02)
    outcome = plant.outcome(plant.settle(40))
    jobs_table(POISON, outcome)
    assert (outcome.stuck, outcome.ours.lost, outcome.ours.twice) == (0, 0, 0)
    query = "SELECT status, attempts, error FROM jobs WHERE function LIKE '%poison'"
    with psycopg.connect(plant.database_url) as connection:
        rows = connection.execute(query).fetchall()
        effects = connection.execute("SELECT count(*) FROM records WHERE key LIKE 'poison%'")
        assert effects.fetchone() == (0,)
    assert {row[:2] for row in rows} == {("failed", 3)}
    assert all("killed by SIGKILL" in error for _, _, error in rows)


NAIVE_WEB = """
import os, psycopg, redis
from rq import Queue
from tests.chaos import records
queue = Queue("naive", connection=redis.Redis.from_url(os.environ["REDIS_URL"]))
with psycopg.connect(os.environ["RECORDS_URL"], autocommit=True) as connection:
    connection.execute("INSERT INTO records (kind, key) VALUES ('committed', 'promised')")
print('{"event": "committed"}', flush=True)
queue.enqueue(records.naive, "promised")
"""


def test_web_that_is_killed_between_commit_and_hand_over_loses_no_job(
    plant: Plant, server: Postgres, own_redis: Redis
) -> None:
    """Redis is frozen meanwhile, so no hand-over can have happened. The control loses its job."""
    assert own_redis.process is not None
    emails = [f"web-{number}@example.com" for number in range(5)]
    naive = Logs(["-c", NAIVE_WEB], plant.environment, "committed")
    with Served(plant.database_url, own_redis.url, WEB_CONCURRENCY="1") as web:
        own_redis.process.send_signal(signal.SIGSTOP)
        try:
            for email in emails:
                account = {"email": email, "password": "long enough to be good"}
                assert web.request("POST", "/api/users", account).status == 201
            web.kill()
            naive.start()
            naive.kill()
        finally:
            own_redis.process.send_signal(signal.SIGCONT)
    assert plant.settle(30) < 30
    with psycopg.connect(plant.database_url) as connection:
        query = "SELECT count(*) FROM effects WHERE key LIKE 'welcome:%'"
        assert connection.execute(query).fetchone() == (len(emails),)
        query = "SELECT kind FROM records WHERE key = 'promised'"
        assert connection.execute(query).fetchall() == [("committed",)]


def test_at_default_settings_a_job_is_recovered_in_time(
    server: Postgres, own_redis: Redis, record_property: Callable[[str, object], None]
) -> None:
    """30 s after its worker was killed whole, 60 s after it was lost with Redis."""
    with Plant(server, own_redis) as plant:
        plant.produce(1, seconds=3)
        until(lambda: plant.count("running"))
        plant.signal_all("worker", signal.SIGKILL)
        killed = plant.settle(40)
        plant.signal_all("worker", signal.SIGSTOP)
        plant.produce(5)
        plant.hand_over()
        until(lambda: plant.waiting() > 0)  # what a slow Redis did not take, the relay brings
        plant.client.flushall()
        assert plant.waiting() == 0
        plant.signal_all("worker", signal.SIGCONT)
        lost = plant.settle(70)
        outcome = plant.outcome(0)
    line = f"recovered {killed:.0f} s after a kill, {lost:.0f} s after Redis lost it"
    record_property("recovery", line)
    print(line)
    assert (killed < 30, lost < 60) == (True, True)
    assert (outcome.ours.lost, outcome.ours.twice) == (0, 0)


def test_a_job_that_takes_longer_than_its_lease_keeps_it(plant: Plant) -> None:
    plant.produce(1, seconds=14)
    plant.settle(30)
    with psycopg.connect(plant.database_url) as connection:
        row = connection.execute("SELECT status, attempts FROM jobs").fetchone()
    assert row == ("succeeded", 1)


def test_two_thousand_jobs_survive_all_of_it(
    server: Postgres, own_redis: Redis, jobs_table: Table
) -> None:
    chosen = [kill_workers, stop_groups, flush_redis, cut_connections, kill_relays, crash_redis]

    def everything() -> None:
        for fault in chosen:
            fault(plant)

    with plant_of(server, own_redis) as plant:
        with meanwhile(everything):
            plant.produce(2223, seconds=0.004, pause=0.004)
        outcome = plant.outcome(plant.settle(90))
    jobs_table(ALL, outcome)
    assert (outcome.stuck, outcome.ours.lost, outcome.ours.twice, outcome.ghosts) == (0, 0, 0, 0)
    assert outcome.ours.jobs > 1900
    assert outcome.naive.lost > 0
