"""`make dev`: what it prints, what it refuses, and that it leaves no process however it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from service.dev import run_beside, web_port
from service.ports import Refused

ROOT = Path(__file__).parent.parent

SLEEPER = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); " + SLEEPER
PARENT = (
    f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]); {SLEEPER}"
)


class Running:
    """A supervisor in a process of its own, its output read to the end by a thread."""

    def __init__(
        self, command: list[str], env: Mapping[str, str] | None = None, cwd: Path = ROOT
    ) -> None:
        self.process = subprocess.Popen(
            command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            self.lines.extend(line.decode().rstrip("\n") for line in stdout)

    def wait_for(self, pattern: str, times: int = 1, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while sum(bool(re.search(pattern, line)) for line in list(self.lines)) < times:
            assert time.monotonic() < deadline and self.process.poll() is None, self.lines
            time.sleep(0.02)

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> int:
        code = self.process.wait(timeout=30)
        self._reader.join(timeout=10)
        return code


@contextmanager
def running(
    command: list[str], env: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> Iterator[Running]:
    started = Running(command, env, cwd)
    try:
        yield started
    finally:
        started.process.send_signal(signal.SIGTERM)
        started.end()


def supervisor(**children: str) -> list[str]:
    """A program that runs each child, given as Python code, under its name.

    Children are not measured: a killed supervisor's get SIGTERM once for each of its threads, and
    coverage's handler, come to again while it saves, waits for its own lock, five seconds a time.
    """
    code = f"""
        import os, sys
        from pathlib import Path
        from service.supervisor import Supervisor
        env = {{name: os.environ[name] for name in os.environ if not name.startswith("COVERAGE_")}}
        supervisor = Supervisor(Path.cwd(), dict(env, PYTHONUNBUFFERED="1"))
        for name, code in {children!r}.items():
            supervisor.start(name, [sys.executable, "-c", code])
        outcome = supervisor.follow()
        supervisor.stop()
        sys.exit(outcome)
    """
    return [sys.executable, "-c", textwrap.dedent(code)]


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


def test_every_line_bears_its_process_name_and_none_is_lost() -> None:
    many = "print('first'); print('\\n'.join(map(str, range(5000)))); print('no newline', end='')"
    with running(supervisor(scheduler=many)) as dev:
        assert dev.end() == 1
    expected = ["first", *map(str, range(5000)), "no newline"]
    assert dev.lines[:-1] == [f"scheduler| {line}" for line in expected]
    assert dev.lines[-1] == "dev      | scheduler exited with 0: stopping the rest."


def test_output_that_is_no_terminal_has_no_colours() -> None:
    with running(supervisor(web="print('plain')")) as dev:
        dev.end()
    assert "\033" not in "".join(dev.lines)


def test_a_terminal_gets_colours_unless_it_asks_for_none() -> None:
    assert b"\033[36mweb      | \033[0mshown" in on_a_terminal(dict(os.environ, NO_COLOR=""))
    assert b"\033" not in on_a_terminal(dict(os.environ, NO_COLOR="1"))


def on_a_terminal(env: Mapping[str, str]) -> bytes:
    ours, its = os.openpty()
    with subprocess.Popen(supervisor(web="print('shown')"), cwd=ROOT, env=env, stdout=its):
        os.close(its)
    shown = os.read(ours, 65536)
    os.close(ours)
    return shown


DEATHS = {
    "raise SystemExit(3)": "worker exited with 3",
    "pass": "worker exited with 0",
    "import os; os.kill(os.getpid(), 9)": "worker was killed by SIGKILL",
}


def test_the_death_of_one_stops_the_rest_and_is_named() -> None:
    with ExitStack() as stack:
        commands = [supervisor(web=PARENT, worker=wait_for_usr1(death)) for death in DEATHS]
        started = [stack.enter_context(running(command)) for command in commands]
        for dev, said in zip(started, DEATHS.values(), strict=True):
            dev.wait_for(r"\| up", times=3)
            family = dev.family()
            pid = next(line.split()[-1] for line in dev.lines if "pid" in line)
            os.kill(int(pid), signal.SIGUSR1)
            assert dev.end() == 1
            assert_gone(family)
            assert f"dev      | {said}: stopping the rest." in dev.lines


def wait_for_usr1(death: str) -> str:
    kept = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])"
    up = "print('pid', os.getpid()); print('up'); signal.sigwait([signal.SIGUSR1])"
    return f"import os, signal; {kept}; {up}; {death}"


RELOADED = """
import sys
from pathlib import Path
from service.supervisor import Supervisor
folder = Path(sys.argv[1])
supervisor = Supervisor(folder, {})
supervisor.start("worker", [sys.executable, str(folder / "code.py")])
supervisor.reload(["worker"], folder)
code = supervisor.follow()
supervisor.stop()
sys.exit(code)
"""
UNTIL_TERM = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print({!r}, flush=True)
signal.pause()
"""


def test_a_change_of_the_code_starts_it_anew_and_a_broken_one_is_waited_for(
    tmp_path: Path,
) -> None:
    code = tmp_path / "code.py"
    code.write_text(UNTIL_TERM.format("one"))
    with running([sys.executable, "-c", RELOADED, str(tmp_path)]) as dev:
        dev.wait_for(r"\| one")
        code.write_text("raise SystemExit('broken')")
        dev.wait_for("worker exited with 1: it is started again when the code has changed")
        code.write_text(UNTIL_TERM.format("two"))
        dev.wait_for(r"\| two")
        dev.process.send_signal(signal.SIGTERM)
        assert dev.end() == 0


def test_a_change_while_it_starts_is_no_death(tmp_path: Path) -> None:
    code = tmp_path / "code.py"
    code.write_text("import signal; print('no handler yet', flush=True); signal.pause()")
    with running([sys.executable, "-c", RELOADED, str(tmp_path)]) as dev:
        dev.wait_for(r"\| no handler yet")
        code.write_text(UNTIL_TERM.format("two"))
        dev.wait_for(r"\| two")


CHANGED_AS_IT_ENDS = """
import sys, time
from pathlib import Path
from service.supervisor import Changed, Supervisor
supervisor = Supervisor(Path(sys.argv[1]), {})
supervisor.reload(["worker"], supervisor.root)
supervisor._events.put(Changed())
start, starts = supervisor.start, []
supervisor.start = lambda *command: start(*starts.append(command) or command)
supervisor.start("worker", [sys.executable, sys.argv[2], sys.argv[1]])
while supervisor._events.qsize() < 2:
    time.sleep(0.01)
supervisor.follow()
supervisor.stop()
print(len(starts), "starts")
"""
ONCE = """
import signal, sys
from pathlib import Path
folder = Path(sys.argv[1])
if not (folder / "ended").exists():
    (folder / "ended").touch()
    sys.exit()
print("the next", flush=True)
signal.pause()
"""


def test_a_change_as_it_ends_starts_one_and_not_two(tmp_path: Path) -> None:
    folder, code = tmp_path / "folder", tmp_path / "code.py"
    folder.mkdir()
    code.write_text(ONCE)
    with running([sys.executable, "-c", CHANGED_AS_IT_ENDS, str(folder), str(code)]) as dev:
        dev.wait_for(r"\| the next")
        dev.process.send_signal(signal.SIGTERM)
        dev.end()
    assert dev.lines[-1] == "2 starts"


def test_a_command_beside_it_wants_it_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_beside(tmp_path, ["jobs", "list"]) == 1
    assert "make dev does not run here: start it first." in capsys.readouterr().err


def test_a_signal_stops_all_and_leaves_no_process() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    with ExitStack() as stack:
        command = supervisor(web=PARENT, worker=SLEEPER)
        started = [stack.enter_context(running(command)) for _ in numbers]
        for dev, number in zip(started, numbers, strict=True):
            dev.wait_for(r"\| up", times=3)
            family = dev.family()
            dev.process.send_signal(number)
            assert dev.end() == 0
            assert len(family) == 3
            assert_gone(family)


def test_a_second_ctrl_c_kills_what_would_not_stop() -> None:
    with running(supervisor(web=STUBBORN)) as dev:
        dev.wait_for(r"\| up")
        family = dev.family()
        dev.process.send_signal(signal.SIGINT)
        dev.wait_for("Stopping")
        with pytest.raises(subprocess.TimeoutExpired):
            dev.process.wait(timeout=1)
        dev.process.send_signal(signal.SIGINT)
        assert dev.end() == 0
    assert_gone(family)


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no signal at the parent's death")
def test_a_killed_supervisor_leaves_no_process() -> None:
    with running(supervisor(web=SLEEPER, worker=SLEEPER)) as dev:
        dev.wait_for(r"\| up", times=2)
        family = dev.family()
        dev.process.send_signal(signal.SIGKILL)
        assert_gone(family)


def test_a_reader_that_leaves_stops_it() -> None:
    chatter = "import time\nwhile True: print('more'); time.sleep(0.05)"
    command = supervisor(web=chatter)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as dev:
        assert dev.stdout is not None and dev.stdout.readline() == b"web      | more\n"
        family = psutil.Process(dev.pid).children(recursive=True)
        dev.stdout.close()
        assert dev.wait(timeout=30) == 0
    assert_gone(family)


def service_dev(root: Path) -> list[str]:
    code = (
        f"import sys, pathlib, service.dev; sys.exit(service.dev.run(pathlib.Path({str(root)!r})))"
    )
    return [sys.executable, "-c", code]


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_a_taken_port_is_refused_with_its_holder_and_another_port(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as held:
        port = held.getsockname()[1]
        with pytest.raises(
            Refused, match=rf"Port {port} is taken by pid {os.getpid()} \(.+\)\. .+"
        ):
            web_port(str(port))


@pytest.mark.parametrize("port", ["no", "0", "65536", "-1"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(Refused, match=f"PORT is '{port}'"):
        web_port(port)


def test_with_a_taken_port_nothing_starts_and_one_line_says_why(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        env = dict(os.environ, PORT=str(held.getsockname()[1]))
        ended = subprocess.run(service_dev(tmp_path), cwd=ROOT, env=env, capture_output=True)
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert re.fullmatch(r"Port .+ Choose another: PORT=\d+ make dev\n", ended.stderr.decode())
    assert [path.name for path in (tmp_path / ".dev").iterdir()] == ["lock"]


@pytest.mark.parametrize("app_env", ["production", "staging"])
def test_it_leaves_alone_what_is_no_development(tmp_path: Path, app_env: str) -> None:
    """Its database would get accounts whose password everybody knows."""
    env = {**os.environ, "APP_ENV": app_env, "DATABASE_URL": "postgresql://h/production"}
    ended = subprocess.run(
        service_dev(tmp_path), cwd=ROOT, env=env, capture_output=True, text=True, timeout=30
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"APP_ENV is {app_env}: make dev migrates its database")
    assert not (tmp_path / ".dev").exists()


def test_a_second_one_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".dev").mkdir()
    holding = f"""
        import time
        from pathlib import Path
        from service.dev import only_one_in
        with only_one_in(Path({str(tmp_path / ".dev")!r})):
            print("held", flush=True)
            time.sleep(60)
    """
    with running([sys.executable, "-c", textwrap.dedent(holding)]) as first:
        first.wait_for("held")
        ended = subprocess.run(service_dev(tmp_path), cwd=ROOT, capture_output=True, timeout=30)
    assert ended.returncode == 1
    assert ended.stderr.decode() == (
        f"make dev runs already in {tmp_path} (pid {first.process.pid}): stop that one first.\n"
    )
