"""Elastic Beanstalk: instances with systemd and nginx behind a balancer, and a deploy by rolling
with an additional batch. What happens on an instance: images/beanstalk/engine.

Sources: as of deploy/elasticbeanstalk/README.md, the developer guide and logs of instances.
Played, not real: the balancer is nginx, which asks for health more often; Redis is without TLS.
"""

import http.client
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex
from typing import Self

from deploy.targets import TARGETS
from service.environment import ROOT
from tests.deploy.docker.site import docker, succeeds
from tests.deploy.platforms.lab import NAME, Lab, Router
from tests.deploy.platforms.rehearsal import OPERATOR, Stopped, remove_containers
from tests.waiting import until

IMAGE = "slipway-rehearsal:beanstalk"
FOLDER = Path(__file__).parent / "images" / "beanstalk"
STAGE = "production"
SIZE = 2  # instances
SIGNALLED = "2"  # CLD_KILLED: the status is the number of a signal
# Seconds, at most. The platform waits 1800 for all of a batch.
BOOTED, DEPLOYED, HEALTHY = 60, 240, 120


class Instance:
    """A server of the environment."""

    def __init__(self, name: str, properties: Mapping[str, str]) -> None:
        self.name = name
        docker(
            *("run", "--detach", "--privileged", "--network", NAME, "--name", name),
            *("--label", f"rehearsal={NAME}", "--memory", "2g", IMAGE),  # of a t3.small
        )
        (about,) = json.loads(docker("inspect", name))
        self.address = str(about["NetworkSettings"]["Networks"][NAME]["IPAddress"])
        until(lambda: succeeds("exec", name, "systemctl", "is-active", "multi-user.target"), BOOTED)
        self._write("container/environment_name", f"slipway-{STAGE}")
        self._write("env", "".join(f"{key}={value}\n" for key, value in properties.items()))

    def deploy(self, bundle: str) -> tuple[bool, str]:
        """Whether it was done, and what the engine said."""
        docker("cp", "--quiet", bundle, f"{self.name}:/opt/elasticbeanstalk/deployment/bundle")
        return self._engine("deploy", "/opt/elasticbeanstalk/deployment/bundle")

    def stop(self) -> str:
        """As the operating system does when it is shut down. Gives what the engine said."""
        done, said = self._engine("stop")
        assert done, said
        return said

    def processes(self) -> str:
        """The first process of each unit, and when it started."""
        asked = ("systemctl", "show", "--property=Id,MainPID,ExecMainStartTimestampMonotonic")
        return docker("exec", self.name, *asked, "web", "worker", "scheduler")

    def is_healthy(self, version: str) -> bool:
        """Twice, as the balancer asks: by address, through nginx; and it is this version."""
        asked = (self.get("/health/ready")[0], self.get("/health/ready")[0])
        return asked == (200, 200) and json.loads(self.get("/health")[1])["version"] == version

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.address, 80, timeout=5)
        try:
            connection.request("GET", path, headers={"Host": self.address})
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def logs(self) -> str:
        return docker("exec", self.name, "journalctl", "--no-pager", "--lines=200", check=False)

    def _engine(self, *words: str) -> tuple[bool, str]:
        command = ["docker", "exec", self.name, "/opt/elasticbeanstalk/bin/engine", *words]
        ended = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEPLOYED
        )
        return ended.returncode == 0, ended.stdout

    def _write(self, name: str, text: str) -> None:
        path = f"/opt/elasticbeanstalk/deployment/{name}"
        program = 'mkdir -p "$(dirname "$0")" && cat >"$0"'
        docker("exec", "--interactive", self.name, "sh", "-c", program, path, given=text)


class Environment:
    """The instances, and the balancer in front of them."""

    def __init__(self, lab: Lab, number: int) -> None:
        self.manifest = TARGETS["elasticbeanstalk"](ROOT)
        (stage,) = (each for each in self.manifest.stages if each.name == STAGE)
        idle = self.manifest.platform.answers_within or 60
        self.router = Router(lab, "$proxy_add_x_forwarded_for", idle, idle, redirects=True)
        self.lab, self.token, self.database = lab, token_hex(32), "rehearsal_elasticbeanstalk"
        self.running: list[Instance] = []  # and in the balancer
        self.stopped: list[Stopped] = []
        self.healthy_after: list[float] = []
        self.said = ""  # by the engines
        given = {
            "DATABASE_URL": f"postgresql://{lab.database(self.database)}?sslmode=require",
            "REDIS_URL": lab.redis(number, tls=False),
            "JWT_SECRET": token_hex(32),
            "SMOKE_TOKEN": self.token,
        }
        self._properties = OPERATOR | {
            name: given[name] if each.value is None else each.value
            for name, each in stage.processes["web"].variables.items()
        }
        self._numbers = itertools.count(1)

    def deploy(self, bundle: str, version: str) -> str | None:
        """Rolling with an additional batch. None, or what the engine said where it ended: who is
        done by then stays new, and the rest old."""
        if not self.running:
            return self._create(bundle, version)
        additional = self._launch()
        batches = (additional, *self.running)
        said = next(filter(None, (self.renew(each, bundle, version) for each in batches)), None)
        self._terminate(additional)
        return said

    def renew(self, instance: Instance, bundle: str, version: str) -> str | None:
        """A batch of one: out of the balancer, deployed, healthy, in again."""
        self._route([each for each in self.running if each is not instance])
        if said := self._deploy(instance, bundle, version):
            return said
        self._route([*self.running, instance])
        return None

    def serving(self) -> list[str]:
        return [each.processes() for each in self.running]

    def _create(self, bundle: str, version: str) -> str | None:
        """The first deploy: on all instances at once, the migrations too."""
        instances = [self._launch() for _ in range(SIZE)]
        with ThreadPoolExecutor() as pool:
            said = list(pool.map(lambda each: self._deploy(each, bundle, version), instances))
        self._route(instances)
        return next(filter(None, said), None)

    def _deploy(self, instance: Instance, bundle: str, version: str) -> str | None:
        done, said = instance.deploy(bundle)
        self._note(instance, said)
        if not done:
            return said
        start = time.monotonic()
        try:
            until(lambda: instance.is_healthy(version), HEALTHY)
        except AssertionError:
            raise AssertionError(f"{instance.name} is not healthy:\n{instance.logs()}") from None
        self.healthy_after.append(time.monotonic() - start)
        return None

    def _launch(self) -> Instance:
        return Instance(f"{NAME}-instance-{next(self._numbers)}", self._properties)

    def _terminate(self, instance: Instance) -> None:
        self._route([each for each in self.running if each is not instance])
        self._note(instance, instance.stop())
        docker("rm", "--force", "--volumes", instance.name)

    def _note(self, instance: Instance, said: str) -> None:
        """How processes ended, from the engine's lines about it."""
        self.said += said
        for line in said.splitlines():
            if line.startswith("stopped "):
                self.stopped.append(_stopped(instance, line))

    def _route(self, instances: Sequence[Instance]) -> None:
        if instances != self.running:
            self.running = list(instances)
            self.router.route([f"{each.address}:80" for each in instances])

    # The `with`.

    def __enter__(self) -> Self:
        with tempfile.TemporaryDirectory() as context:
            shutil.copytree(FOLDER, context, dirs_exist_ok=True)
            shutil.copy(ROOT / "requirements.txt", context)
            docker("build", "--quiet", "--tag", IMAGE, context)
        self.lab.new_database(self.database)
        self.router.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.router.__exit__()
        remove_containers()


def _stopped(instance: Instance, line: str) -> Stopped:
    unit = dict(word.split("=", 1) for word in line.split()[1:])
    assert unit["NRestarts"] == "0", line  # nothing ended that was not told to
    ended, told = (unit[f"{each}TimestampMonotonic"] for each in ("InactiveEnter", "ActiveExit"))
    return Stopped(
        f"{instance.name}/{unit['Id']}",
        int(unit["ExecMainStatus"]) + (128 if unit["ExecMainCode"] == SIGNALLED else 0),
        (int(ended) - int(told)) / 1e6,
        killed=unit["Result"] == "timeout",
    )
