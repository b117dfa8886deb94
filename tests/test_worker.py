"""The worker and the scheduler as processes: what they run, how they stop, who watches them."""

import fcntl
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen
from uuid import UUID

import psutil
import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis as Client
from rq import Worker as RQWorker
from sqlalchemy import delete, text

from service import healthcheck, pulse
from service.__main__ import main
from service.app import create_app
from service.db import session
from service.devservers import Postgres, Redis
from service.outbox import FAILED, SUCCEEDED, Job, enqueue
from service.queue import job
from service.redis import make_client
from service.settings import Settings
from service.worker import SUSPENDED, Crew
from tests.children import Logs
from tests.conftest import make_settings
from tests.counted import empty, patient
from tests.serving import variables
from tests.waiting import until
from tests.working import job as job_of
from tests.working import own_app

RUN = """
{}
import os, sys, tempfile
folder = tempfile.TemporaryDirectory()
# Before the jobs of this file are imported.
os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder.name)
import tests.test_worker
from service.__main__ import main
sys.exit(main({!r}))
"""


@job()
def tell_pid() -> dict[str, int]:
    return {"pid": os.getpid()}


@job(attempts=1)
def sleep(seconds: float) -> None:
    time.sleep(seconds)


@job(attempts=1, timeout=1)
def take_too_long() -> None:
    time.sleep(30)


@job(attempts=1, timeout=1)
def take_too_long_in_sql() -> None:
    session.execute(text("SELECT pg_sleep(30)"))


@job(attempts=2, backoff=0.1)
def poison() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@job()
def swallow_memory() -> dict[str, int]:
    _ = bytearray(120 * 2**20)
    return {"pid": os.getpid()}


@job(attempts=1)
def be_stubborn() -> None:
    for number in (signal.SIGUSR1, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(30)


@job(queue="high")
def be_important() -> None: ...


@job(queue="low")
def be_unimportant() -> None: ...


@pytest.fixture(scope="module")
def app(postgres: Postgres, redis_server: Redis) -> Iterator[Flask]:
    with own_app(postgres, redis_server, 3) as made:
        yield made


@pytest.fixture(scope="module")
def own(postgres: Postgres, redis_server: Redis) -> Iterator[Flask]:
    """An app whose jobs only the worker takes that a test starts."""
    with own_app(postgres, redis_server, 4) as made:
        yield made


@pytest.fixture
def client(app: Flask) -> Iterator[Client]:
    empty(app)
    with make_client(app.extensions["settings"]) as opened:
        patient(opened)
        yield opened


def make_process(app: Flask, command: str, *arguments: str, first: str = "", **more: str) -> Logs:
    """A worker or scheduler that knows the jobs of this file, and does something else `first`."""
    found: Settings = app.extensions["settings"]
    urls = [url.get_secret_value() for url in (found.database_url, found.redis_url)]
    env = {**variables(*urls), "WORKER_CONCURRENCY": "1", **more}
    return Logs(["-c", RUN.format(first, [command, *arguments])], env, f"{command} started")


@contextmanager
def process(app: Flask, command: str, *arguments: str, **more: str) -> Iterator[Logs]:
    with make_process(app, command, *arguments, **more) as started:
        yield started


@pytest.fixture(scope="module")
def worker(app: Flask) -> Iterator[Logs]:
    with process(app, "worker") as started:
        yield started


@pytest.fixture(scope="module")
def scheduler(app: Flask) -> Iterator[Logs]:
    with process(app, "scheduler") as started:
        yield started


def enqueued(app: Flask, function: Any, *args: Any) -> UUID:
    with app.app_context():
        id = enqueue(session, function, *args)
        session.commit()
        return id


def ended(app: Flask, id: UUID) -> Job:
    until(lambda: job_of(app, id).status in (SUCCEEDED, FAILED), seconds=30)
    return job_of(app, id)


def result(job: Job) -> Any:
    assert job.status == SUCCEEDED, job.error
    return __import__("json").loads(job.result or "null")


def test_a_job_runs_in_a_child_that_was_there_before(app: Flask, worker: Logs) -> None:
    pids = {result(ended(app, enqueued(app, tell_pid)))["pid"] for _ in range(3)}
    children = {child.pid for child in psutil.Process(worker.process.pid).children()}
    assert pids == children


def test_its_log_line_has_the_request_and_how_long_it_waited(
    app: Flask, client: Client, worker: Logs
) -> None:
    answer = app.test_client().post(
        "/api/users",
        json={"email": "dora@example.com", "password": "long enough to be good"},
        headers={"X-Request-ID": "the-request"},
    )
    assert answer.status_code == 201
    event = until(lambda: [e for e in worker.events("job") if "welcome" in e["function"]])[-1]
    assert (event["request_id"], event["attempt"]) == ("the-request", 1)
    assert event["waited_ms"] >= 0 and event["duration_ms"] >= 0


@pytest.mark.parametrize("function", [take_too_long, take_too_long_in_sql])
def test_a_time_out_ends_the_attempt_and_not_the_worker(
    app: Flask, worker: Logs, function: Any
) -> None:
    failed = ended(app, enqueued(app, function))
    assert failed.error == ("JobTimeoutException: Task exceeded maximum timeout value (1 seconds)")
    assert ended(app, enqueued(app, tell_pid)).status == SUCCEEDED


def test_a_poison_job_fails_after_its_attempts_and_takes_nobody_with_it(
    app: Flask, worker: Logs, scheduler: Logs
) -> None:
    failed = ended(app, enqueued(app, poison))
    assert (failed.status, failed.attempts) == (FAILED, 2)
    assert failed.error == "WorkerDied: the process that ran it died: killed by SIGKILL"
    assert ended(app, enqueued(app, tell_pid)).status == SUCCEEDED
    assert worker.process.poll() is None


def test_rq_sees_its_workers(app: Flask, client: Client, worker: Logs) -> None:
    (found,) = until(lambda: RQWorker.all(connection=client))
    (child,) = psutil.Process(worker.process.pid).children()
    assert (found.pid, found.queue_names()) == (child.pid, ["high", "default", "low"])
    assert client.ttl(found.key) <= 30


def test_what_is_no_job_is_left_out(app: Flask, client: Client, worker: Logs) -> None:
    """Whoever can write to Redis cannot run anything."""
    client.rpush("rq:queue:high", "no-uuid", b"\xff", "01890a5d-ac96-774b-bcce-b302099a8057")
    assert ended(app, enqueued(app, tell_pid)).status == SUCCEEDED
    until(lambda: len(worker.events("there is something in the queue that is no job")) >= 2)


def test_queues_have_an_order_and_may_be_chosen(own: Flask) -> None:
    low, default, high = (
        enqueued(own, function) for function in (be_unimportant, tell_pid, be_important)
    )
    until(
        lambda: (
            own.extensions["redis"].llen("rq:queue:low")
            and own.extensions["redis"].llen("rq:queue:default")
        )
    )
    until(lambda: own.extensions["redis"].llen("rq:queue:high"))
    with process(own, "worker", "--queues", "high,low"):
        times = [ended(own, id).started_at for id in (high, low)]
        assert times == sorted(times, key=lambda time: time or datetime.min.replace(tzinfo=UTC))
        assert job_of(own, default).status == "queued"


# Scheduler.


def test_the_scheduler_hands_over_what_nobody_did(
    app: Flask, client: Client, worker: Logs, scheduler: Logs
) -> None:
    with app.app_context():
        id = enqueue(session, tell_pid, delay=timedelta(seconds=0.1))
        session.commit()
    assert ended(app, id).status == SUCCEEDED


def test_with_both_the_service_is_healthy(app: Flask, worker: Logs, scheduler: Logs) -> None:
    health = app.test_client()

    def checks() -> dict[str, Any]:
        answer: dict[str, Any] = health.get("/health").get_json()
        return answer

    until(lambda: checks()["status"] == "healthy")
    assert {"worker", "scheduler"} < set(checks()["checks"])


def samples(port: int, token: str = "", host: str = "127.0.0.1") -> dict[str, float]:
    """What a worker or scheduler serves, by name and labels."""
    request = Request(f"http://{host}:{port}/metrics", headers={"Authorization": token})
    with urlopen(request, timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {
            f"{sample.name} {' '.join(sample.labels.values())}": sample.value
            for family in families
            for sample in family.samples
        }


def test_web_tells_how_many_jobs_wait_and_which_failed(own: Flask) -> None:
    with own.app_context():
        session.execute(delete(Job))
        waiting = session.get(Job, enqueue(session, tell_pid, delay=timedelta(hours=1)))
        failed = session.get(Job, enqueue(session, poison, delay=timedelta(hours=1)))
        assert waiting and failed
        waiting.queued_at, failed.status = datetime.now(UTC) - timedelta(minutes=5), FAILED
        session.commit()
    text = own.test_client().get("/metrics").text
    assert 'jobs_unfinished{queue="default",status="queued"} 1.0' in text
    assert 'jobs_failed{function="tests.test_worker.poison"} 1.0' in text
    (age,) = re.findall(r'jobs_oldest_queued_seconds{queue="default"} ([\d.]+)', text)
    assert 300 <= float(age) < 330
    with own.app_context():
        session.execute(delete(Job))
        session.commit()


def test_without_a_database_there_are_the_other_metrics() -> None:
    nowhere = make_settings("postgresql+psycopg://127.0.0.1:1/x", "redis://127.0.0.1:1/0")
    text = create_app(nowhere).test_client().get("/metrics").text
    assert "http_requests_in_flight" in text
    assert "jobs_unfinished" not in text


# healthcheck.


def check(app: Flask, process: str) -> int:
    return healthcheck.run(app.extensions["settings"], process)


def test_who_is_not_there_is_not_healthy(
    app: Flask, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pulse, "folder", lambda: tmp_path)
    assert (check(app, "worker"), check(app, "scheduler")) == (1, 1)
    assert "worker does not run on this machine" in capsys.readouterr().err


def test_a_worker_that_hangs_is_not_healthy(
    app: Flask, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pulse, "folder", lambda: tmp_path)
    with pulse.beating("worker") as beat:
        beat()
        assert check(app, "worker") == 0
        (file,) = tmp_path.iterdir()
        os.utime(file, (time.time() - 60,) * 2)
        assert check(app, "worker") == 1
    assert re.search(r"hangs: its last sign of life is 6\d s old", capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_hangs_is_not_healthy_though_another_one_lives(
    app: Flask, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pulse, "folder", lambda: tmp_path)
    with pulse.beating("worker"), pulse.beating("worker.other") as beat:
        (other,) = tmp_path.glob("worker.other.*")
        os.utime(other, (time.time() - 60,) * 2)
        assert check(app, "worker") == 1
        assert "hangs" in capsys.readouterr().err
        beat()
        assert check(app, "worker") == 0


def test_a_worker_that_was_killed_does_not_count(
    app: Flask, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pulse, "folder", lambda: tmp_path)
    left = tmp_path / "worker.1"
    left.touch()
    assert check(app, "worker") == 1
    assert "does not run on this machine" in capsys.readouterr().err
    assert not left.exists()


def test_a_sign_of_life_that_somebody_removed_is_there_again(
    app: Flask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pulse, "folder", lambda: tmp_path)
    with pulse.beating("worker") as beat:
        for trouble in ("it is late", "late", ""):
            beat(trouble)
            next(tmp_path.iterdir()).unlink()
            assert pulse.lives("worker") == []
            beat(trouble)
            (life,) = pulse.lives("worker")
            assert (life.trouble, life.silence < 5) == (trouble, True)


def test_a_worker_says_itself_what_is_wrong(
    app: Flask, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pulse, "folder", lambda: tmp_path)
    with pulse.beating("worker") as beat:
        for trouble, code in (("is very late", 1), ("is late", 1), ("", 0)):
            beat(trouble)
            assert check(app, "worker") == code
    assert capsys.readouterr().err == "worker is very late\nworker is late\n"


def test_who_looks_while_a_process_begins_takes_its_pulse_from_it_for_no_longer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pulse, "folder", lambda: tmp_path)
    path = tmp_path / f"worker.{os.getpid()}"
    with path.open("w") as looked_at:
        fcntl.flock(looked_at, fcntl.LOCK_SH)

        def end() -> None:
            path.unlink()
            looked_at.close()

        threading.Timer(0.2, end).start()
        with pulse.beating("worker"):
            assert len(pulse.lives("worker")) == 1
            assert path.exists()


def test_a_worker_that_leaves_jobs_waiting_is_not_healthy(
    own: Flask, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [enqueued(own, sleep, 5), enqueued(own, tell_pid)]
    with process(own, "worker", "--queues", "default", JOB_WAIT_LIMIT="1s"):
        waits = re.compile(r"leaves jobs waiting: the oldest for \d+ s, of 1")
        until(lambda: check(own, "worker") and waits.search(capsys.readouterr().err), seconds=15)
        for id in ids:
            assert ended(own, id).status == SUCCEEDED
        until(lambda: check(own, "worker") == 0, seconds=15)


def test_jobs_wait_that_nobody_can_run_and_nobody_is_blamed(own: Flask) -> None:
    client: Client = own.extensions["redis"]
    settings: Settings = own.extensions["settings"]
    with own.app_context():
        id = enqueue(session, be_unimportant, delay=timedelta(hours=1))
        job = session.get(Job, id)
        assert job is not None
        job.queued_at = datetime.now(UTC) - timedelta(hours=1)
        session.commit()
    database, redis = settings.database_url, settings.redis_url
    nowhere = make_settings("postgresql+psycopg://127.0.0.1:1/x", "redis://127.0.0.1:1/0")
    cases = {
        (database, redis, "low"): r"leaves jobs waiting: the oldest for 36\d\d s, of 900",
        (database, redis, "high"): "",  # that queue is another one's
        (nowhere.database_url, redis, "low"): "",
        (database, nowhere.redis_url, "low"): "",
    }
    for (database_url, redis_url, queue), trouble in cases.items():
        changes = {"database_url": database_url, "redis_url": redis_url}
        crew = Crew(own, settings.model_copy(update=changes), [queue])
        crew._look_after_them()
        until(lambda: re.fullmatch(trouble, crew._trouble()) or crew._tell_redis())  # noqa: B023
        if trouble:
            client.set(SUSPENDED, 1)
            crew._tell_redis()
            assert crew._trouble() == ""
            client.delete(SUSPENDED)
        crew._database.engine.dispose()
    with own.app_context():
        session.delete(session.get(Job, id))
        session.commit()


def test_running_processes_are_healthy(app: Flask, worker: Logs, scheduler: Logs) -> None:
    assert (check(app, "worker"), check(app, "scheduler")) == (0, 0)


def test_the_check_of_a_container_finds_what_runs_there(
    app: Flask, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings: Settings = app.extensions["settings"]
    monkeypatch.setattr(pulse, "folder", lambda: tmp_path)
    assert healthcheck.run(settings, None) == 1
    assert f"web does not answer on port {settings.port}" in capsys.readouterr().err
    with pulse.beating("scheduler"):
        assert healthcheck.run(settings, None) == 0
        with pulse.beating("worker"):
            (file,) = tmp_path.glob("worker.*")
            os.utime(file, (time.time() - 60,) * 2)
            assert healthcheck.run(settings, None) == 1
    assert "worker hangs" in capsys.readouterr().err


def test_a_folder_of_somebody_else_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(PermissionError):
        pulse.folder()


def test_an_unknown_queue_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["worker", "--queues", "high,urgent"])
    assert "there is no queue 'urgent': they are high, default, low" in capsys.readouterr().err
