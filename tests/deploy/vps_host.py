"""A server in a folder: what is run is written down, and units, packages and PostgreSQL are played.

Only what touches the world is played (deploy/vps/host/runner.py); links, flags and files are real.
"""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.shell import CommandFailed
from deploy.vps.host import edge, layout, releases, units
from deploy.vps.host.layout import PORTS, Host, Layout, Server
from deploy.vps.host.release import release
from deploy.vps.host.runner import Runner, Talk

SERVER = Server(
    server="web1",
    roles=frozenset({"web", "worker", "database", "redis"}),
    domain="api.example.com",
    tls="letsencrypt",
    branch="main",
    repository=None,
    keep=3,
    web_servers=("web1",),
    behind_balancer=False,
    keep_days=14,
    copy_to=None,
)
WORKERS = ("slipway-worker.service", "slipway-scheduler.service")
ENV = "DATABASE_URL=postgres://slipway:hunter2@127.0.0.1/slipway\nSMOKE_TOKEN=hunter3\n"
LIVE, SIZE = "slipway", str(8 * 2**20)  # bytes


class Played(Runner):
    """Writes down what would be run, with the colour that serves at that time before it."""

    def __init__(self, found: Layout) -> None:
        self.layout = found
        self.ran: list[str] = []
        self.full: list[str] = []  # as it was spelt
        self.failing: dict[str, str] = {}  # what of `ran` fails, and what it says
        self.during: dict[str, Callable[[], None]] = {}  # what happens while it runs
        self.broken: Path | None = None  # a release whose worker ends at once
        self.pending = ""  # revisions
        self.known: dict[str, dict[str, object]] = {}  # what the service says of its variables
        self.started = {units.NGINX: 1, units.POSTGRESQL: 1}  # units that run, and since when
        self.databases = {LIVE: "what was live"}
        self.environments: list[Mapping[str, str]] = []
        self.asked: list[list[str]] = []  # of each psql that is kept open

    def run(
        self,
        command: Sequence[str],
        *,
        given: bytes | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 600,
    ) -> str:
        spelt = " ".join(command)
        if command[0] == "systemctl":
            return self._state(command[-1])
        if command[0] == "journalctl":
            return "the last words"
        self.full.append(spelt)
        self.environments.append(env or {})
        short = self._short(spelt)
        self.ran.append(f"{edge.colour(self.layout)}: {short}")
        for part, happens in self.during.items():
            if part in short:
                happens()
        for part, said in self.failing.items():
            if part in short:
                raise CommandFailed(command, 1, said)
        if short == "root workers restart" and layout.target(self.layout.workers) == self.broken:
            raise CommandFailed(command, 1, "exit 1")
        return self._play(list(command), short)

    def show(self, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        self.run(command, env=env)

    def sleep(self, seconds: float) -> None:
        self.ran.append(f"{edge.colour(self.layout)}: wait")

    def ask(self, port: int, path: str) -> tuple[int, dict[str, Any]]:
        (colour,) = [name for name, own in PORTS.items() if own == port]
        if f"slipway-web@{colour}.service" not in self.started:
            return 0, {}
        version = releases.commit(self.layout.colour(colour).resolve())
        return 200, {"status": "ready", "version": version}

    @contextmanager
    def talk(self, command: Sequence[str], env: Mapping[str, str]) -> Iterator[Talk]:
        self.asked.append([])
        yield Answers(self.asked[-1])

    def _short(self, spelt: str) -> str:
        """Without folders, and what is the same in all of its kind."""
        text = spelt.replace(f"{self.layout.root}/", "").replace("sudo -n ", "")
        text = re.sub(r"-u slipway env .* \S+/python -m service", "service", text)
        text = re.sub(r"\S*python\S* (-P )?-m ", "", text)
        text = re.sub(r" --commit \S+ --timeout \d+", "", text)
        return text.replace("/usr/local/sbin/slipway-root", "root").replace("deploy.smoke", "smoke")

    def _state(self, unit: str) -> str:
        since = self.started.get(unit)
        state = "inactive" if since is None else "active"
        return f"ActiveState={state}\nMainPID=7\nActiveEnterTimestamp=@{since or 0}\n"

    def _play(self, command: list[str], short: str) -> str:
        match short.split():
            case ["root", "start", colour]:
                self.started[f"slipway-web@{colour}.service"] = int(time.time()) + 1
            case ["root", "stop", colour]:
                self.started.pop(f"slipway-web@{colour}.service", None)
            case ["root", "workers", "restart"]:
                self.started |= dict.fromkeys(WORKERS, int(time.time()) + 1)
            case ["root", "workers", "stop"]:
                for unit in WORKERS:
                    self.started.pop(unit, None)
            case ["root", "database", *words]:
                self._change_databases(words)
            case ["psql", *_]:
                return self._asked(command[-1])
            case ["service", "migrate", "--pending"]:
                return self.pending
            case ["service", "settings", "--json", *_]:
                return json.dumps(self.known)
            case ["venv", _]:
                (Path(command[-1]) / "bin").mkdir(parents=True)
                (Path(command[-1]) / "bin/python").write_text("a Python")
            case ["cp", *_]:
                shutil.copytree(command[-2], command[-1], symlinks=True)
            case ["pg_dump", *_]:
                Path(command[-1].removeprefix("--file=")).write_bytes(b"a dump")
        return "ready ok\n"

    def _change_databases(self, words: list[str]) -> None:
        match words:
            case ["create", name]:
                self.databases[name] = "the back-up"
            case ["drop", name]:
                self.databases.pop(name, None)
            case ["swap", name, old]:
                if LIVE in self.databases:
                    self.databases[old] = self.databases.pop(LIVE)
                self.databases[LIVE] = self.databases.pop(name)

    def _asked(self, query: str) -> str:
        if "pg_database_size" in query:
            return SIZE if LIVE in self.databases else ""
        prefix = query.split("'")[1]
        return "\n".join(name for name in self.databases if name.startswith(prefix))


class Answers(Talk):
    """A database with one table."""

    def __init__(self, asked: list[str]) -> None:
        self._asked = asked

    def ask(self, *lines: str) -> list[list[str]]:
        self._asked += lines
        if "pg_export_snapshot" in lines[0]:
            return [["00000003-0000001B-1"]]
        if "pg_database_size" in lines[0]:
            return [[SIZE]]
        return [["0004"]] if "alembic_version" in lines[0] else [["users", "3"]]


def make_host(folder: Path, **changes: Any) -> tuple[Host, Played]:
    """A server as provision leaves it."""
    found = Layout(*(folder / name for name in ("slipway", "backups", "server.json", "databases")))
    names = ("releases", "environments", "colours", "edge", "env")
    for path in (*(found.root / name for name in names), found.backups, found.databases):
        path.mkdir(parents=True)
    (found.env / "1.env").write_text(ENV)
    layout.link(found.env_current, "1.env")
    played = Played(found)
    return Host(replace(SERVER, **changes), found, played), played


def unpacked(host: Host, number: int) -> Path:
    """A release as `entry` leaves it: its code alone. The higher its number, the newer."""
    folder = host.layout.releases / f"20260101T0000{number:02}Z-{number:012x}"
    folder.mkdir()
    (folder / "requirements.txt").write_text("flask==3.1 --hash=sha256:0\n")
    releases.write_variables(folder, f"{number:012x}{'0' * 28}")
    return folder


def make_served(folder: Path) -> tuple[Host, Played, Path]:
    """A server on which release 1 serves, as blue."""
    host, played = make_host(folder)
    first = unpacked(host, 1)
    release(host, first, "alice")
    played.ran.clear()
    return host, played, first


def steps(played: Played) -> list[str]:
    """What was run, without the bytecode and what is waited for."""
    return [each for each in played.ran if "compileall" not in each and "wait" not in each]
