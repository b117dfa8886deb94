"""Does with the processes of a manifest what their platform does: starts, asks, routes, stops."""

import http.client
import itertools
import json
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from secrets import token_hex

import psycopg

from deploy.manifest import Manifest, Process, Stage
from tests.deploy.docker.site import docker
from tests.deploy.platforms.behaviours import Behaviour
from tests.deploy.platforms.lab import HOST, NAME, Lab, Router
from tests.waiting import until

GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
SHORTENED = 2  # seconds of a wait in which nothing is asked of us
# What an operator sets there besides: the clients of the load are one address.
OPERATOR = {"RATE_LIMIT_DEFAULT": "1000000 per 1 hour", "RATE_LIMIT_LOGIN": "1000000 per 1 hour"}


@dataclass(frozen=True)
class Instance:
    """A container with one process of ours."""

    process: Process
    name: str
    address: str
    port: int

    @property
    def upstream(self) -> str:
        return f"{self.address}:{self.port}"

    def logs(self) -> str:
        return docker("logs", self.name, check=False)


@dataclass(frozen=True)
class Stopped:
    """How an instance ended, in how many seconds."""

    instance: str
    code: int
    seconds: float
    killed: bool


class Rehearsal:
    """A platform with a manifest of ours, in one stage of it."""

    def __init__(
        self, behaviour: Behaviour, manifest: Manifest, stage: Stage, lab: Lab, number: int
    ) -> None:
        self.behaviour, self.manifest, self.stage, self.lab = behaviour, manifest, stage, lab
        self.router = Router(
            lab,
            behaviour.forwards,
            idle=manifest.platform.idle or 60,
            answers=manifest.platform.answers_within or 60,
            redirects=behaviour.redirects,
        )
        self.token = token_hex(32)
        self.database = f"rehearsal_{behaviour.target}_{stage.name}_{token_hex(2)}"
        self.running: dict[str, list[Instance]] = {"web": [], "worker": [], "scheduler": []}
        self.stopped: list[Stopped] = []
        self.healthy_after: list[float] = []
        self.in_flight: list[bool] = []  # half-sent requests to those that stopped: answered?
        self.jobs_in_hand = 0  # of workers that stopped
        self._given = {
            "DATABASE_URL": behaviour.database.format(lab.database(self.database)),
            "REDIS_URL": lab.redis(number, tls=behaviour.redis_tls),
            "JWT_SECRET": token_hex(32),
            "SMOKE_TOKEN": self.token,
        }
        self._numbers = itertools.count(1)

    # The deploy.

    def deploy(self, image: str, version: str) -> str | None:
        """Migrate, start, route, stop, in the platform's order: None, or why nothing was done."""
        assert self.stage.migrates_first, "the manifest does not migrate before traffic"
        if said := self.migrate(image, version):
            return said
        if self.behaviour.strategy == "gap":
            with self._job_in_hand():
                self._stop("web", "worker", "scheduler")
        self._replace_web(image, version)
        for kind in ("worker", "scheduler"):
            before = self.running[kind]
            self.running[kind] = [self._start(self.stage.processes[kind], image, version)]
            with self._job_in_hand() if kind == "worker" and before else nullcontext():
                self._end(before)
        return None

    def serving(self) -> list[Instance]:
        return list(self.running["web"])

    def migrate(self, image: str, version: str) -> str | None:
        """The command before traffic, wherever it runs: None, or what it said as it failed."""
        with ThreadPoolExecutor() as pool:
            count = range(self.behaviour.migrations)
            said = list(pool.map(lambda _: self._migrate(image, version), count))
        return next(filter(None, said), None)

    def _migrate(self, image: str, version: str) -> str | None:
        process = self.stage.processes["migrate"]
        name = self._create(process, image, version)
        docker("start", name)
        code = int(docker("wait", name))
        said = docker("logs", name, check=False)
        docker("rm", name)
        return said if code else None

    def _replace_web(self, image: str, version: str) -> None:
        before = self.running["web"]
        process, count = self.stage.processes["web"], self.behaviour.instances
        if self.behaviour.strategy == "rolling" and before:
            for old in before:
                new = self._healthy(process, image, version)
                self._switch([*(w for w in self.running["web"] if w is not old), new], [old])
            return
        with ThreadPoolExecutor() as pool:
            new = list(pool.map(lambda _: self._healthy(process, image, version), range(count)))
        self._switch(new, before)

    def _switch(self, serving: Sequence[Instance], leaving: Sequence[Instance]) -> None:
        self.running["web"] = list(serving)
        late = self.behaviour.signals_before_routing
        if late is None or not leaving:
            self.router.route([each.upstream for each in serving])
            self._end(leaving)
            return
        # Who is to go is told at once, while others still learn that it goes.
        with ThreadPoolExecutor() as pool:
            ended = pool.submit(self._end, leaving)
            time.sleep(late)
            self.router.route([each.upstream for each in serving])
            ended.result()

    # Processes.

    def _healthy(self, process: Process, image: str, version: str) -> Instance:
        """Started, and asked as the platform asks."""
        found, start = self._start(process, image, version), time.monotonic()
        try:
            until(lambda: self._is_healthy(found), self.behaviour.healthy_within)
        except AssertionError:
            raise AssertionError(f"{found.name} is not healthy:\n{found.logs()}") from None
        self.healthy_after.append(time.monotonic() - start)
        return found

    def _is_healthy(self, instance: Instance) -> bool:
        probes = instance.process.probes or ()
        paths = [probe.path for probe in probes] or ["/health/ready"]
        return all(self._asked(instance, path) == 200 for path in paths)

    def _asked(self, instance: Instance, path: str) -> int:
        connection = http.client.HTTPConnection(instance.address, instance.port, timeout=3)
        try:
            connection.request("GET", path, headers={"Host": self.behaviour.health_host})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def _start(self, process: Process, image: str, version: str) -> Instance:
        name = self._create(process, image, version)
        docker("start", name)
        (about,) = json.loads(docker("inspect", name))
        address = about["NetworkSettings"]["Networks"][NAME]["IPAddress"]
        port = process.port.value if process.port else self.variables(process, version).get("PORT")
        return Instance(process, name, address, int(port or 8000))

    def _create(self, process: Process, image: str, version: str) -> str:
        name = f"{NAME}-{process.kind}-{next(self._numbers)}"
        command = shlex.split(process.command or "")
        if self.behaviour.builds == "buildpack":
            command = ["bash", "-c", process.command or ""]
        memory = self.behaviour.memory if process.kind == "web" else "768m"
        variables = self.variables(process, version)
        docker(
            *("create", "--network", NAME, "--name", name, "--label", f"rehearsal={NAME}"),
            *("--memory", memory, "--no-healthcheck", *self.behaviour.flags),
            *(word for each in variables for word in ("--env", each)),
            *(image, *command),
            **variables,
        )
        return name

    def variables(self, process: Process, version: str) -> Mapping[str, str]:
        """What the manifest gives, what it refers to, and what the platform adds."""
        added = {name: value.format(commit=version) for name, value in self.behaviour.sets.items()}
        if version not in added.values():
            added["COMMIT_SHA"] = version  # of the image, by its build argument
        if process.port is not None and self.behaviour.sets_port:
            added["PORT"] = str(process.port.value)
        known = {**added, **self._given}
        given = {
            name: known[name] if each.value is None else each.value
            for name, each in process.variables.items()
        }
        return {**OPERATOR, **added, **given}

    # The end of a process.

    @contextmanager
    def _job_in_hand(self) -> Iterator[None]:
        """As the `with` begins, a worker is in the middle of a job, and is for some seconds more:
        it waits for a table that is locked here. Nothing is locked where nobody brings work."""
        if not self.running["worker"]:
            yield
            return
        url = self.lab.outside(self.database)
        with psycopg.connect(url) as locks, psycopg.connect(url, autocommit=True) as looks:
            locks.execute("LOCK TABLE effects IN EXCLUSIVE MODE")
            query = "SELECT count(*) FROM jobs WHERE status = 'running'"
            with suppress(AssertionError):
                until(lambda: looks.execute(query).fetchone() != (0,), seconds=30)
                self.jobs_in_hand += 1
            release = threading.Timer(2, locks.rollback)
            release.start()
            yield
            release.join()

    def stop(self) -> None:
        """All of it: the end of a service."""
        self._stop("web", "worker", "scheduler")

    def _stop(self, *kinds: str) -> None:
        leaving = [each for kind in kinds for each in self.running[kind]]
        if self.running["web"]:
            self.router.route([])
        self._end(leaving)
        for kind in kinds:
            self.running[kind] = []

    def _end(self, leaving: Sequence[Instance]) -> None:
        with ThreadPoolExecutor() as pool:
            self.stopped += pool.map(self._ended, leaving)

    def _ended(self, instance: Instance) -> Stopped:
        """Signalled, waited for, and killed if it takes longer than the platform waits."""
        process = instance.process
        grace = float(process.grace.value) if process.grace else self.manifest.platform.grace
        signal = self.behaviour.signal
        late = self.behaviour.signals_before_routing is not None
        time.sleep(process.drain if late else min(process.drain, SHORTENED))
        is_web = process.kind == "web"
        with self._request_in_flight(instance) if is_web else nullcontext(lambda: None) as go_on:
            return self._signalled(instance, signal, grace - process.drain, go_on)

    def _signalled(
        self, instance: Instance, signal: str, grace: float, go_on: Callable[[], None]
    ) -> Stopped:
        if self.behaviour.signals_all:
            docker("exec", instance.name, "bash", "-c", f"kill -{signal[3:]} -1", check=False)
        else:
            docker("kill", "--signal", signal, instance.name)
        go_on()
        killed, start = False, time.monotonic()
        try:
            until(lambda: not self._runs(instance), grace)
        except AssertionError:
            killed = True
            docker("kill", instance.name)
        seconds = time.monotonic() - start
        code = int(docker("wait", instance.name))
        return Stopped(instance.name, code, seconds, killed)

    @contextmanager
    def _request_in_flight(self, instance: Instance) -> Iterator[Callable[[], None]]:
        """As the `with` begins, half of a request has arrived; the rest comes a second after what
        it gives is called."""
        body = b'{"email": "half", "password": "of a request"}'
        head = f"POST /api/users HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        head += f"X-Forwarded-Proto: https\r\nContent-Length: {len(body)}\r\n"
        head += "Expect: 100-continue\r\n\r\n"

        def finish() -> None:
            with suppress(OSError):
                client.sendall(body[20:])
                self.in_flight.append(client.recv(12).endswith(b"422"))
                return
            self.in_flight.append(False)

        with socket.create_connection((instance.address, instance.port), timeout=10) as client:
            client.sendall(head.encode() + body[:20])
            going_on = client.recv(len(GO_ON), socket.MSG_WAITALL)
            assert going_on == GO_ON  # it is being read when the signal comes
            rest = threading.Timer(1, finish)
            yield rest.start
            rest.join()

    def _runs(self, instance: Instance) -> bool:
        return docker("inspect", "-f", "{{.State.Running}}", instance.name).strip() == "true"

    # The `with`.

    def __enter__(self) -> "Rehearsal":
        self.lab.new_database(self.database)
        self.router.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.router.__exit__()
        remove_containers()


def remove_containers() -> None:
    """All that a rehearsal of this process started."""
    listed = docker("ps", "--all", "--quiet", "--filter", f"label=rehearsal={NAME}").split()
    if listed:
        docker("rm", "--force", "--volumes", *listed)
