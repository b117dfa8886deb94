"""The stack of compose.yaml on this machine's Docker engine, as somebody sees it from outside."""

import json
import re
import ssl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from deploy.docker.stack import Stack
from service.environment import ROOT, environment
from tests.begun import begun
from tests.chaos.load import connect
from tests.serving import Answer

IMAGES = Path(__file__).parent / "images"
STAND_INS = {
    "nginx:1.30-alpine": "nginx",
    "axllent/mailpit:v1.31": "mailpit",
    "chrislusf/seaweedfs:4.42": "seaweedfs",
}
UNVERIFIED = ssl._create_unverified_context()


def docker(*words: str, given: str | None = None, check: bool = True, **more: str) -> str:
    """What `docker …` prints. Raises AssertionError with what it said if it fails."""
    return call(["docker", *words], given=given, check=check, **more)


def call(
    command: Sequence[str], *, given: str | None = None, check: bool = True, **more: str
) -> str:
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**environment(), **more},
        input=given,
        text=True,
        capture_output=True,
    )
    assert ended.returncode == 0 or not check, (command, ended.stdout, ended.stderr)
    return ended.stdout + ("" if check else ended.stderr)


def succeeds(*words: str) -> bool:
    return subprocess.run(["docker", *words], capture_output=True).returncode == 0


def have(image: str) -> None:
    """Have an image of compose.yaml: pulled, or built as its stand-in where nothing can be."""
    if not succeeds("image", "inspect", image) and not succeeds("pull", "--quiet", image):
        docker("build", "--quiet", "--tag", image, str(IMAGES / STAND_INS[image]))


def assert_hardened(containers: Sequence[str], root: str = "none") -> None:
    """No capability, nothing writable but its volumes, a limit of memory; not root, but for the
    one whose name has `root` in it."""
    assert containers
    for about in json.loads(docker("inspect", *containers)):
        name, config = about["Name"], about["HostConfig"]
        assert config["ReadonlyRootfs"], name
        assert config["CapDrop"] == ["ALL"], name
        assert not config["CapAdd"], name
        assert "no-new-privileges:true" in config["SecurityOpt"], name
        assert config["Memory"] > 0, name
        user = about["Config"]["User"].partition(":")[0]
        assert user not in ("", "root", "0") or root in name, name


def published(containers: Sequence[str]) -> set[str]:
    """The addresses of this machine that containers listen at, with their own ports."""
    found = set()
    for about in json.loads(docker("inspect", *containers)):
        for port, hosts in about["HostConfig"]["PortBindings"].items():
            found |= {f"{host['HostIp']} {port}" for host in hosts}
    return found


def retried(logs: str) -> int:
    """How many requests nginx has sent to a second server, or to all anew. Lines of Docker Compose
    may begin with the code that clears one."""
    asked = re.findall(r'"event":"edge".*"upstream":"(.*?)"', logs)
    assert asked, logs
    return sum("," in each or " : " in each for each in asked)


class Site:
    """What answers on a port of this machine."""

    def __init__(self, port: int, tls: bool = False) -> None:
        self.port = port
        self.tls = UNVERIFIED if tls else None

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body, sent = json.dumps(body).encode(), {"Content-Type": "application/json", **sent}
        connection = connect(self.port, self.tls)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()


class Host(Site):
    """A host that serves users: compose.production.yaml, its secrets and its certificate."""

    def __init__(self, name: str, folder: Path, http_port: int, https_port: int) -> None:
        super().__init__(https_port, tls=True)
        self.stack, self.folder = Stack(name), folder
        self.environment = {
            "COMPOSE_PROJECT_NAME": self.stack.project,
            "SECRETS_FOLDER": str(folder / "secrets"),
            "TLS_FOLDER": str(folder / "tls"),
            "ACME_FOLDER": str(folder / "acme"),
            "ENV_FILE": str(folder / "production.env"),
            "HTTP_PORT": str(http_port),
            "HTTPS_PORT": str(https_port),
        }

    def deploy(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """`python -m deploy docker …`, with more variables if need be."""
        command = [sys.executable, "-m", "deploy", "docker", *words]
        env = {**environment(), **self.environment, **more}
        return subprocess.run(command, cwd=ROOT, env=env, text=True, capture_output=True)

    def begun(self, *words: str) -> AbstractContextManager[subprocess.Popen[str]]:
        """The same, not waited for."""
        command = [sys.executable, "-u", "-m", "deploy", "docker", *words]
        return begun(command, ROOT, {**environment(), **self.environment})

    def compose(self, *words: str, check: bool = True) -> str:
        return call(self.stack.compose(*words), check=check, **self.environment)

    def sql(self, query: str) -> list[list[str]]:
        """Rows of the host's database, as text."""
        words = ("psql", "-U", "service", "-At", "-F", "\t", "-c", query)
        out = self.compose("exec", "-T", "postgres", *words)
        return [line.split("\t") for line in out.splitlines()]

    def serving(self) -> str:
        """The version that answers."""
        return str(self.request("GET", "/health").json()["version"])
