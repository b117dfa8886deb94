"""Heroku's own command runs our Procfile: its CLI, from npm, needs no login for that."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

import pytest

from deploy.heroku.manifest import read_manifest
from service.environment import ROOT, environment
from tests.deploy.docker.site import Site
from tests.deploy.platforms.lab import Lab
from tests.ports import free_port
from tests.tracked import tracked
from tests.waiting import until

VERSION = "11.10.0"  # of the CLI
BIN = str(ROOT / ".venv" / "bin")


@pytest.fixture(scope="module")
def heroku(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CLI. Fails where there is no npm."""
    if shutil.which("npm") is None:
        pytest.fail("the Heroku CLI comes from npm, which is not installed here")
    folder = tmp_path_factory.mktemp("heroku")
    command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]
    command += [str(folder), f"heroku@{VERSION}"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return folder / "node_modules" / ".bin" / "heroku"


@pytest.fixture
def tree(lab: Lab, tmp_path: Path) -> Path:
    """A clean copy, with the variables of app.json in .env, as `heroku local` reads them."""
    tracked(tmp_path)
    lab.new_database("heroku_local")
    given = {
        "DATABASE_URL": lab.outside("heroku_local").replace("postgresql:", "postgres:"),
        "REDIS_URL": lab.redis_outside(15),
        "JWT_SECRET": token_hex(32),
        "SMOKE_TOKEN": token_hex(32),
    }
    variables = read_manifest(ROOT).stages[0].processes["web"].variables.values()
    lines = [f"{v.name}={given[v.name] if v.value is None else v.value}" for v in variables]
    (tmp_path / ".env").write_text("\n".join(lines))
    return tmp_path


def surroundings() -> Mapping[str, str]:
    """Of a person with the virtual environment of the repository, and nothing of the service."""
    names = ("HOME", "LANG", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
    kept = {name: value for name, value in environment().items() if name in names}
    return kept | {"PATH": f"{BIN}:{environment()['PATH']}"}


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Until the `with` ends: by Ctrl-C, as a person ends it."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=surroundings(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as found:
        try:
            yield found
        finally:
            os.killpg(found.pid, signal.SIGINT)  # as a terminal does, to all that runs in it
            try:
                found.wait(60)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(found.pid, signal.SIGKILL)


def test_the_procfile_runs_under_heroku_local(heroku: Path, tree: Path) -> None:
    released = subprocess.run(
        [str(heroku), "local:run", "--", *"python -m service migrate".split()],
        cwd=tree,
        env=surroundings(),
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert released.returncode == 0, released.stdout + released.stderr
    port = free_port()
    site = Site(port)
    command = [str(heroku), "local", "web,worker,scheduler", "--port", str(port)]
    with running(command, tree) as started:

        def is_ready() -> bool:
            assert started.poll() is None, started.stdout and started.stdout.read()
            try:
                return bool(site.request("GET", "/health").json()["status"] == "healthy")
            except OSError:
                return False

        until(is_ready, seconds=60)  # healthy: worker and scheduler are there too
    with pytest.raises(OSError):
        site.request("GET", "/health/live")
