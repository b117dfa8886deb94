"""`python -m service COMMAND`: usage, exit codes, and what is said when it cannot start."""

import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask

from service import demo, healthcheck
from service.__main__ import main
from service.devservers import Postgres
from service.environment import ROOT
from service.ports import Refused, refuse_taken
from service.settings import Settings
from tests.conftest import make_settings

COMMANDS = ("web", "migrate", "seed", "dev", "migration", "healthcheck", "doctor")
VALID = {
    "DATABASE_URL": "postgresql://service:secret@127.0.0.1:1/nothing",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "JWT_SECRET": "x" * 32,
    "WEB_CONCURRENCY": "1",
}
SERVICE = [sys.executable, "-m", "service"]
GUNICORN = [sys.executable, "-m", "gunicorn", "service.wsgi:app"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service without a `.env`, which a developer may have."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("service", "migrations"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("gunicorn.conf.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def environment(**variables: str) -> dict[str, str]:
    measured = {name: value for name, value in os.environ.items() if name.startswith("COV")}
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **measured, **variables}


def start(command: list[str], clone: Path, **variables: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command,
        cwd=clone,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def taken_port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as held:
        yield str(held.getsockname()[1])


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    listed = re.findall(r"^ {4}(\w+)", capsys.readouterr().out, re.MULTILINE)
    assert set(COMMANDS) <= set(listed)


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["healthcheck", "nonsense"], ["web", "now"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "usage: python -m service" in capsys.readouterr().err


def test_a_bad_environment_ends_every_command_before_a_port_is_looked_at(clone: Path) -> None:
    commands = [[*SERVICE, "web"], [*SERVICE, "migrate"], GUNICORN]
    with taken_port() as port:
        bad = {"PORT": port, "JWT_SECRET": "short", "WEB_THREADS": "many"}
        for started in [start(command, clone, **bad) for command in commands]:
            out, err = started.communicate(timeout=60)
            assert (started.returncode, out) == (1, "")
            assert err.startswith("The environment is not valid: 4 problems.\n")
            for name in ("DATABASE_URL", "REDIS_URL", "JWT_SECRET", "WEB_THREADS"):
                assert f"\n  {name} " in err
            assert "Traceback" not in err


def test_settings_of_a_file_are_checked_and_asked_for_nothing(clone: Path, tmp_path: Path) -> None:
    """What a server calls before it takes new variables: no database is there."""
    file = tmp_path / "new.env"
    words = [*SERVICE, "settings", "--dotenv", str(file)]
    file.write_text("".join(f"{name}={value}\n" for name, value in VALID.items()))
    checked = start(words, clone)
    assert checked.communicate(timeout=60)[0].startswith("The environment is valid: ")
    assert checked.returncode == 0
    out, _ = start([*words, "--json"], clone).communicate(timeout=60)
    told = json.loads(out)
    assert {told[name]["secret"] for name in ("DATABASE_URL", "REDIS_URL", "JWT_SECRET")} == {True}
    assert told["WEB_CONCURRENCY"] == {"value": "1", "from": "default", "secret": False}
    assert "secret@" not in out and "xxxx" not in out
    file.write_text(file.read_text() + "WEB_THREADS=many\n")
    checked = start(words, clone)
    out, err = checked.communicate(timeout=60)
    assert (checked.returncode, out) == (1, "")
    assert "1 problem" in err and "WEB_THREADS" in err


@pytest.mark.parametrize(
    ("command", "environment"), [([*SERVICE, "web"], "production"), (GUNICORN, "development")]
)
def test_a_taken_port_is_one_line_that_says_who_and_what_to_do(
    clone: Path, command: list[str], environment: str
) -> None:
    with taken_port() as port:
        started = start(command, clone, **VALID, PORT=port, APP_ENV=environment)
        _, err = started.communicate(timeout=60)
    holder = rf"pid {os.getpid()} \(.+\)"
    other = r"Choose another: PORT=\d+ python -m service web"
    assert re.fullmatch(rf"Port {port} is taken by {holder}\. {other}\n", err)
    assert started.returncode == 1


def test_a_port_that_is_free_is_not_refused() -> None:
    with taken_port() as port, pytest.raises(Refused, match=f"Port {port} is taken"):
        refuse_taken(int(port), "make dev")
    refuse_taken(int(port), "make dev")


def test_a_socket_that_systemd_hands_over_is_served_though_its_port_is_taken(clone: Path) -> None:
    inherit = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid());"
        "os.execv(sys.executable, [sys.executable, '-m', 'service', 'web'])"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = [sys.executable, "-c", inherit, str(listener.fileno())]
        started = subprocess.Popen(
            command,
            cwd=clone,
            env=environment(**VALID, PORT=str(port), LISTEN_FDS="1"),
            pass_fds=[listener.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        with (
            started,
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=30) as answer,
        ):
            status = answer.status
            started.send_signal(signal.SIGINT)  # quicker than SIGTERM
            _, err = started.communicate(timeout=30)
    assert (status, started.returncode, err) == (200, 0, b"")


def test_demo_data_is_refused_in_production(app: Flask, settings: Settings) -> None:
    for environment in ("production", "staging"):
        with pytest.raises(demo.Refused, match="known passwords"):
            demo.seed(app, settings.model_copy(update={"app_env": environment}))


def test_seed_and_migrate_say_in_one_line_what_is_wrong(
    clone: Path, postgres: Postgres, settings: Settings
) -> None:
    given = {**VALID, "DATABASE_URL": postgres.create_database("unmigrated"), "APP_ENV": "test"}
    gone = {**given, "DATABASE_URL": f"{postgres.url}-that-is-not-there"}
    for command, environment, said in (
        (
            "seed",
            given,
            r'seed: the database said: relation "users" does not exist .* migrate` first',
        ),
        ("seed", given | {"APP_ENV": "staging"}, "seed: demo data has known passwords: .*"),
        ("migrate", gone, "migrate: the database cannot be reached: .*does not exist"),
    ):
        started = start([*SERVICE, command], clone, **environment)
        _, err = started.communicate(timeout=60)
        assert re.fullmatch(said + "\n", err), err
        assert started.returncode == 1


def test_migration_writes_nothing_without_words_or_without_need(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["migration", " "])
    assert 'make migration m="add things"' in capsys.readouterr().err
    assert main(["migration", "nothing"]) == 1
    assert capsys.readouterr().err.endswith("all that the models have: nothing written\n")
    assert not list((ROOT / "migrations" / "versions").glob("*_nothing.py"))


def test_migration_writes_what_the_models_have_and_the_schema_has_not(tmp_path: Path) -> None:
    for name in ("service", "migrations"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    models = tmp_path / "service" / "users" / "models.py"
    text = models.read_text()
    models.write_text(
        text.replace("    name: Mapped", "    nickname: Mapped[str | None]\n    name: Mapped")
    )
    started = start([*SERVICE, "migration", "add nicknames"], tmp_path)
    out, err = started.communicate(timeout=60)
    assert started.returncode == 0, out + err
    (written,) = (tmp_path / "migrations" / "versions").glob("*_add_nicknames.py")
    assert 'op.add_column("users", sa.Column("nickname"' in written.read_text()


class Readiness(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health/ready" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_healthcheck_asks_for_readiness(status: int, code: int) -> None:
    handler = type("Handler", (Readiness,), {"status": status})
    with http.server.HTTPServer(("localhost", 0), handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert healthcheck.run(settings_with(server.server_port), "web") == code


def test_healthcheck_fails_where_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with taken_port() as port:
        pass
    assert healthcheck.run(settings_with(int(port)), "web") == 1
    assert f"web does not answer on port {port}" in capsys.readouterr().err


def settings_with(port: int) -> Settings:
    return make_settings(VALID["DATABASE_URL"], VALID["REDIS_URL"], port=port)
