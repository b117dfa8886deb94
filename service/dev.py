"""`make dev`: PostgreSQL, Redis and the processes of the service, in one terminal.

Add a process of your own: a line in PROCESSES.
"""

import contextlib
import fcntl
import gc
import http.client
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from service.demo import EMAIL, PASSWORD
from service.devserver import Server, ServerError, remembered
from service.devservers import Postgres, Redis
from service.environment import environment
from service.ports import Refused, refuse_taken
from service.supervisor import Supervisor
from service.variables import PLACEHOLDER

# Each is (its name in front of its lines, the arguments of `python -m service`).
SETUP = (
    ("migrate", ("migrate",)),
    ("seed", ("seed",)),
)
PROCESSES = (
    ("web", ("web",)),
    ("worker", ("worker",)),
    ("scheduler", ("scheduler",)),
)


def run(root: Path) -> int:
    """Return the exit code: 0 when asked to stop, 1 when something could not start or died."""
    gc.enable()
    given = environment()
    if (wanted := given.get("APP_ENV") or "development") not in ("development", "test"):
        print(
            f"APP_ENV is {wanted}: make dev migrates its database and writes demo accounts into"
            " it. Unset APP_ENV, here and in .env, to run it.",
            file=sys.stderr,
        )
        return 1
    folder = root / ".dev"
    folder.mkdir(exist_ok=True)
    try:
        with only_one_in(folder):
            port = web_port(given.get("PORT") or "8000")
            return _run(root, folder, port, given)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 1


def run_beside(root: Path, command: Sequence[str]) -> int:
    """Run a command of the service with what `make dev`, which runs, gives its processes."""
    path = root / ".dev" / "environment.json"
    with contextlib.suppress(Refused), _lock_of(path):
        print("make dev does not run here: start it first.", file=sys.stderr)
        return 1
    own: dict[str, str] = json.loads(path.read_text())
    env = {**environment(), **own}
    return subprocess.run(_service(*command), cwd=root, env=env).returncode  # noqa: S603


def _lock_of(environment: Path) -> contextlib.AbstractContextManager[None]:
    return only_one_in(environment.parent) if environment.exists() else contextlib.nullcontext()


def _remember(folder: Path, own: Mapping[str, str]) -> None:
    """For `run_beside`. It has the secret of the tokens, so it is for us alone."""
    path = folder / "environment.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(dict(own)))


def _run(root: Path, folder: Path, port: int, given: Mapping[str, str]) -> int:
    supervisor = Supervisor(root, given)
    servers: dict[str, Server] = {}
    if not _has(given, "DATABASE_URL"):
        servers["DATABASE_URL"] = Postgres(folder / "postgres")
    if not _has(given, "REDIS_URL"):
        servers["REDIS_URL"] = Redis(folder / "redis")
    try:
        for variable, server in (("DATABASE_URL", "PostgreSQL"), ("REDIS_URL", "Redis")):
            yours = f"is yours, for {variable} is set (in the environment or .env)"
            supervisor.say(f"{server} {'starts …' if variable in servers else yours}")
        supervisor.serve(*servers.values())
        urls = {variable: server.url for variable, server in servers.items()}
        own = {
            **_jwt_secret(folder, given),
            **urls,
            **_lenient(given),
            **_development(port),
        }
        _remember(folder, own)
        supervisor.environment = {**given, **own}
        for name, arguments in SETUP:
            supervisor.start(name, _service(*arguments))
            if (outcome := supervisor.follow(until=name)) is not None:
                return outcome
        for name, arguments in PROCESSES:
            supervisor.start(name, _service(*arguments))
        supervisor.reload(("worker", "scheduler"), root / "service")  # web does so by itself
        supervisor.in_background(_announce, supervisor, port, urls)
        return supervisor.follow() or 0
    except ServerError as error:
        supervisor.say(str(error))
        return 1
    finally:
        supervisor.stop()


def _has(given: Mapping[str, str], variable: str) -> bool:
    """Whether it is set: a placeholder, of a plain copy of .env.example, is nothing."""
    value = given.get(variable) or given.get(f"{variable}_FILE") or ""
    return bool(value) and PLACEHOLDER not in value


def _jwt_secret(folder: Path, given: Mapping[str, str]) -> dict[str, str]:
    if _has(given, "JWT_SECRET"):
        return {}
    return {"JWT_SECRET": remembered(folder / "jwt-secret", lambda: secrets.token_urlsafe(48))}


def _development(port: int) -> dict[str, str]:
    return {"APP_ENV": "development", "PORT": str(port), "PYTHONUNBUFFERED": "1"}


def _lenient(given: Mapping[str, str]) -> dict[str, str]:
    """Who develops signs in more often than five times an hour."""
    return {} if given.get("RATE_LIMIT_LOGIN") else {"RATE_LIMIT_LOGIN": "1000 per hour"}


def _service(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "service", *arguments]


def _announce(supervisor: Supervisor, port: int, urls: Mapping[str, str]) -> None:
    """Wait for web's first answer, then say where everything is."""
    while not _answers(port):
        if supervisor.stopping.wait(0.1):
            return
    supervisor.say(
        f"The service answers at http://127.0.0.1:{port}\n"
        f"  sign in     {EMAIL}  {PASSWORD}\n"
        f"  PostgreSQL  {urls.get('DATABASE_URL', 'yours, from DATABASE_URL')}\n"
        f"  Redis       {urls.get('REDIS_URL', 'yours, from REDIS_URL')}\n"
        f"  commands    .venv/bin/python -m service dev jobs list\n"
        f"  Ctrl-C stops all of it; the data stays in .dev/"
    )


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", "/health/live")
        return connection.getresponse().status == 200
    return False


@contextlib.contextmanager
def only_one_in(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            raise Refused(
                f"make dev runs already in {folder.parent} (pid {holder}): stop that one first."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def web_port(wanted: str) -> int:
    """The port, if web can bind it. Raises Refused, with who holds it."""
    if not (wanted.isdecimal() and 0 < int(wanted) < 65536):
        raise Refused(f"PORT is {wanted!r}; a number from 1 to 65535 is needed: PORT=8001 make dev")
    refuse_taken(int(wanted), "make dev")
    return int(wanted)
