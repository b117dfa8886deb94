"""Worker and scheduler stopped, starved and grown: what takes its time to see."""

import os
import signal
import socket
import time
from datetime import timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import psycopg
import pytest
from flask import Flask
from rq.suspension import resume, suspend

from service.devservers import Postgres, Redis
from service.exporter import Exporter
from service.outbox import FAILED, QUEUED, RETRYING, RUNNING, SUCCEEDED
from service.settings import Settings
from tests.ports import free_port
from tests.test_worker import (
    be_stubborn,
    ended,
    enqueued,
    make_process,
    poison,
    process,
    result,
    samples,
    sleep,
    swallow_memory,
    take_too_long,
    tell_pid,
)
from tests.waiting import until
from tests.working import job as job_of
from tests.working import own_app


def test_a_growing_process_is_replaced_after_its_job(own: Flask) -> None:
    with process(own, "worker", WORKER_MEMORY=str(140 * 2**20)) as small:
        first = result(ended(own, enqueued(own, swallow_memory)))["pid"]
        until(lambda: small.events("worker has grown too large and makes room for a new one"))
        assert result(ended(own, enqueued(own, tell_pid)))["pid"] != first


@pytest.mark.parametrize("whom", ["the worker", "all of them"])
def test_sigterm_lets_the_job_that_runs_finish(own: Flask, whom: str) -> None:
    with process(own, "worker") as stopped:
        id = enqueued(own, sleep, 5)
        until(lambda: job_of(own, id).status == RUNNING)
        family = psutil.Process(stopped.process.pid).children()
        for each in family if whom == "all of them" else ():
            each.send_signal(signal.SIGTERM)
        assert stopped.stop() == 0
    assert (job_of(own, id).status, job_of(own, id).attempts) == (SUCCEEDED, 1)
    assert not any(map(psutil.Process.is_running, family))


def test_a_job_that_does_not_finish_within_the_grace_goes_back(own: Flask) -> None:
    with process(own, "worker", SHUTDOWN_GRACE="6s") as stopped:
        id = enqueued(own, sleep, 60)
        until(lambda: job_of(own, id).status == RUNNING)
        assert stopped.stop() == 0
    back = job_of(own, id)
    assert (back.status, back.attempts) == (RETRYING, 0)
    assert back.error == "Interrupted: the worker had to stop"


def test_a_job_that_cannot_be_interrupted_goes_back_too(own: Flask) -> None:
    """As C code that runs for long: it is killed at the end of the grace."""
    with process(own, "worker", SHUTDOWN_GRACE="2s") as stopped:
        id = enqueued(own, be_stubborn)
        until(lambda: job_of(own, id).status == RUNNING)
        assert stopped.stop() == 0
    back = job_of(own, id)
    assert (back.status, back.attempts) == (RETRYING, 0)
    assert back.error is not None and back.error.startswith("WorkerStopped: ")


def test_a_worker_that_is_killed_takes_its_processes_with_it(own: Flask) -> None:
    """One that hangs in C too, which would look after nothing."""
    with process(own, "worker", METRICS_PORT=str(free_port())) as killed:
        id = enqueued(own, be_stubborn)
        until(lambda: job_of(own, id).status == RUNNING)
        parent = psutil.Process(killed.process.pid)
        family = until(lambda: len(found := parent.children()) == 2 and found)
        killed.process.kill()
        until(lambda: not any(map(psutil.Process.is_running, family)), seconds=3)


def test_rq_can_suspend_and_resume_a_worker(own: Flask) -> None:
    client = own.extensions["redis"]
    with process(own, "worker") as worker:
        suspend(client)
        until(lambda: worker.events("worker is suspended, until somebody runs `rq resume`"))
        id = enqueued(own, tell_pid)
        until(lambda: client.llen("rq:queue:default"))
        time.sleep(0.5)
        assert job_of(own, id).status == QUEUED
        resume(client)
        assert ended(own, id).status == SUCCEEDED


def test_the_names_of_killed_workers_are_forgotten(own: Flask) -> None:
    client = own.extensions["redis"]
    client.sadd("rq:workers", "rq:worker:killed")
    client.sadd("rq:workers:high", "rq:worker:killed")
    with process(own, "worker"):
        until(lambda: client.scard("rq:workers") == 1)
        assert client.scard("rq:workers:high") == 1


NO_ROOM = """
import os
fork, asked = os.fork, []
def refuse():
    asked.append(0)
    if len(asked) == 1:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return fork()
os.fork = refuse
import service.child
service.child.LONGEST_PAUSE = 0.5
"""


def test_a_machine_without_room_for_a_process_is_tried_again(own: Flask) -> None:
    with process(own, "worker", first=NO_ROOM) as small:
        assert ended(own, enqueued(own, tell_pid)).status == SUCCEEDED
        assert small.events("a process of the worker cannot be started")


def test_what_parent_and_child_have_to_report_arrives(
    own: Flask, sink: ThreadingHTTPServer
) -> None:
    """The parent reports a job that killed its process, and forks a child that reports too."""
    dsn = f"http://publickey@127.0.0.1:{sink.server_port}/42"
    with process(own, "worker", SENTRY_DSN=dsn), process(own, "scheduler"):
        assert ended(own, enqueued(own, poison)).status == FAILED
        assert ended(own, enqueued(own, take_too_long)).status == FAILED

    def names() -> set[str]:
        received = sink.received  # type: ignore[attr-defined]
        return {event["transaction"] for envelope in received for event in envelope.events}

    until(lambda: names() == {f"job tests.test_worker.{n}" for n in ("poison", "take_too_long")})


def test_without_redis_a_worker_waits_and_goes_on(postgres: Postgres, folder: Path) -> None:
    with (
        Redis(folder / "redis-of-a-worker") as own,
        own_app(postgres, own, 0) as made,
        process(made, "worker") as waiting,
    ):
        assert ended(made, enqueued(made, tell_pid)).status == SUCCEEDED
        (child,) = psutil.Process(waiting.process.pid).children()
        own.stop()
        until(lambda: waiting.events("Redis does not answer"))
        own.start()
        assert result(ended(made, enqueued(made, tell_pid)))["pid"] == child.pid


def test_a_redis_that_hangs_holds_up_nobody(postgres: Postgres, folder: Path) -> None:
    """The lease of what runs is renewed all the same, and SIGTERM is heard."""
    grace = {"JOB_LEASE": "10s", "SHUTDOWN_GRACE": "6s"}
    with Redis(folder / "redis-that-hangs") as own, own_app(postgres, own, 0) as made:
        assert own.process is not None
        with process(made, "worker", **grace) as worker, process(made, "scheduler", **grace):
            id = enqueued(made, sleep, 60)
            until(lambda: job_of(made, id).status == RUNNING)
            own.process.send_signal(signal.SIGSTOP)
            try:
                until(lambda: worker.events("Redis does not answer"))
                given = job_of(made, id).due_at
                until(lambda: job_of(made, id).due_at > given + timedelta(seconds=10), seconds=30)
                assert job_of(made, id).status == RUNNING
                start = time.monotonic()
                assert worker.stop() == 0
                assert time.monotonic() - start < 14
            finally:
                own.process.send_signal(signal.SIGCONT)
        back = job_of(made, id)
        assert (back.attempts, back.error) == (0, "Interrupted: the worker had to stop")


BROKEN_LOOP = """
import service.consumer
def fail(*_):
    raise ValueError("nobody thought of this")
service.consumer.Consumer._claim = fail
"""


def test_a_process_whose_loop_fails_has_died(own: Flask) -> None:
    with process(own, "worker", first=BROKEN_LOOP) as broken:
        enqueued(own, tell_pid)
        (event,) = until(lambda: broken.events("worker process died"))
        assert event["how"] == "exited with 1"


def test_the_files_of_metrics_do_not_pile_up(own: Flask, tmp_path: Path) -> None:
    port = str(free_port())
    more = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "METRICS_PORT": port}
    with process(own, "worker", **more), process(own, "scheduler"):
        for _ in range(3):
            assert ended(own, enqueued(own, poison)).status == FAILED
            assert ended(own, enqueued(own, tell_pid)).status == SUCCEEDED
        owners = {path.stem.partition("_child-")[2] for path in tmp_path.glob("counter_child-*")}
        assert owners == {"0"}
        succeeded = "job_attempts_total tests.test_worker.tell_pid succeeded"
        until(lambda: samples(int(port)).get(succeeded) == 3)  # it counts after its commit


def test_what_serves_the_metrics_is_started_though_there_was_no_room(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    exporter = Exporter(settings.model_copy(update={"metrics_port": free_port()}))
    forks: list[int | OSError] = [123, BlockingIOError("no room"), 124]
    ends = [(123, 9), (0, 0)]

    def fork() -> int:
        if isinstance(made := forks.pop(0), OSError):
            raise made
        return made

    monkeypatch.setattr(os, "fork", fork)
    monkeypatch.setattr(os, "waitpid", lambda *_: ends.pop(0))
    assert exporter.is_missing()
    exporter.start()
    assert exporter.is_missing()  # it has died
    with pytest.raises(OSError, match="no room"):
        exporter.start()
    assert exporter.is_missing()
    exporter.start()
    assert not exporter.is_missing()
    assert (forks, ends) == ([], [])
    assert exporter._server is not None
    exporter._server.server_close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_another_scheduler_takes_over_within_ten_seconds(
    own: Flask, number: signal.Signals
) -> None:
    """Though the first one is frozen and its connection stays open."""
    database = own.extensions["settings"].database_url.get_secret_value()
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        (url,) = [f"{database.rpartition('/')[0]}/leaders_{number.name.lower()}"]
        connection.autocommit = True
        connection.execute(f"CREATE DATABASE leaders_{number.name.lower()}")
    main_like = {"DATABASE_URL": url.replace("+psycopg", "")}
    with process(own, "scheduler", **main_like) as first:
        until(lambda: first.events("scheduler leads"))
        with process(own, "scheduler", **main_like) as second:
            until(lambda: second.events("scheduler waits: another one leads"))
            assert not second.events("scheduler leads")
            first.process.send_signal(number)
            start = time.monotonic()
            until(lambda: second.events("scheduler leads"), seconds=15)
            assert time.monotonic() - start < 10
            first.signal_group(signal.SIGKILL)


def test_a_worker_and_a_scheduler_serve_their_metrics(own: Flask) -> None:
    port, other = free_port(), free_port()
    name = "tests.test_worker.tell_pid"
    with (
        process(own, "worker", METRICS_PORT=str(port), WORKER_CONCURRENCY="2"),
        process(own, "scheduler", METRICS_PORT=str(other)),
    ):
        for _ in range(6):
            ended(own, enqueued(own, tell_pid))
        for counted in ("job_attempts_total {} succeeded", "job_duration_seconds_count {}"):
            until(lambda: samples(port).get(counted.format(name)) == 6)  # noqa: B023
        assert "http_requests_in_flight " in samples(other)
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"http://127.0.0.1:{port}/", timeout=10)
        assert samples(port, host="[::1]")


def has_accepted(process: psutil.Process, port: int) -> bool:
    return any(
        each.laddr.port == port
        for each in process.net_connections("tcp")
        if each.status == psutil.CONN_ESTABLISHED
    )


def test_what_serves_the_metrics_is_started_again(own: Flask) -> None:
    port = free_port()
    with process(own, "worker", METRICS_PORT=str(port)) as worker:
        assert samples(port)
        family = psutil.Process(worker.process.pid).children()
        with socket.create_connection(("127.0.0.1", port)):
            (serves,) = until(lambda: [each for each in family if has_accepted(each, port)])
        serves.kill()
        assert samples(port)


@pytest.mark.parametrize("command", ["worker", "scheduler"])
def test_a_port_of_metrics_that_is_taken_is_said_in_a_line(own: Flask, command: str) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        child = make_process(own, command, METRICS_PORT=str(port))
        child.launch()
        assert child.end() == 1
    assert f"METRICS_PORT  {port} cannot be had: Address already in use" in "\n".join(child.lines)
    assert not any("Traceback" in line for line in child.lines)


def test_metrics_of_a_worker_need_the_token(own: Flask) -> None:
    port, token = free_port(), "a token of the tests, long enough for production"
    with process(own, "worker", METRICS_PORT=str(port), METRICS_TOKEN=token):
        until(lambda: samples(port, f"Bearer {token}"))
        with pytest.raises(HTTPError, match="401"):
            samples(port)
