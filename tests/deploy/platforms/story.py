"""The story that each platform goes through under load: a release, one that fails, the way back."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol
from uuid import uuid4

import psycopg

from deploy import smoke
from tests.chaos.load import Ask, Load, failed
from tests.chaos.traffic import Traffic
from tests.deploy.docker.site import Site
from tests.deploy.platforms.builds import Build
from tests.deploy.platforms.lab import HOST, NAME, Lab, Router
from tests.deploy.platforms.rehearsal import Stopped
from tests.people import PASSWORD
from tests.waiting import until

CLIENTS, PAUSE = 8, 0.2  # seconds between two requests of each of them


class Platform(Protocol):
    """What plays a platform."""

    router: Router
    token: str
    database: str
    stopped: list[Stopped]

    def deploy(self, build: str, version: str, /) -> str | None:
        """None, or why nothing was done."""

    def serving(self) -> Sequence[object]:
        """What serves, told apart by process."""


class Told(NamedTuple):
    """How the story went, after all that must be so in each."""

    requests: int
    lost: list[str]
    done: int  # jobs, which are all
    slowest: float  # seconds from the signal to the end


class Door(Site):
    """The platform's front door, as somebody sees it from outside."""

    def __init__(self, port: int) -> None:
        super().__init__(port, tls=True)


def tell(platform: Platform, lab: Lab, builds: Mapping[str, Build]) -> Told:
    assert platform.deploy(*builds["v1"]) is None
    passes_the_smoke_test(platform, lab, builds["v1"].version)

    door = Door(platform.router.port)
    traffic = Traffic(door)  # type: ignore[arg-type]
    makers = (*(traffic.index, traffic.create, traffic.show) * 2, traffic.index, sign_up)
    with Load(door.port, *makers, clients=CLIENTS, tls=door.tls, pause=PAUSE) as load:
        load.wait_for_more(50)
        assert platform.deploy(*builds["v2"]) is None
        load.wait_for_more(50)
        before = platform.serving()
        said = platform.deploy(*builds["v3"])
        assert said is not None
        assert "division by zero" in said
        assert platform.serving() == before
        load.wait_for_more(50)
        assert platform.deploy(*builds["v1"]) is None  # its schema is behind by one
        load.wait_for_more(50)
    passes_the_smoke_test(platform, lab, builds["v1"].version)

    signed_up = sum(o.status == 201 and o.ask.path == "/api/users" for o in load.outcomes)
    assert signed_up > 5
    done = until(lambda: all_jobs_are_done(platform, lab), seconds=40)
    assert done >= signed_up
    assert not any(each.killed for each in platform.stopped), platform.stopped
    assert {each.code for each in platform.stopped if "web" in each.instance} <= {0, 143}
    slowest = max(each.seconds for each in platform.stopped)
    return Told(len(load.outcomes), failed(load.outcomes), done, slowest)


def sign_up() -> Ask:
    """What takes a while, and leaves a job."""
    return Ask("POST", "/api/users", {"email": f"{uuid4().hex}@example.com", "password": PASSWORD})


def all_jobs_are_done(platform: Platform, lab: Lab) -> int:
    """How many jobs there were; 0 as long as one of them is not done."""
    query = "SELECT count(*), count(*) FILTER (WHERE status <> 'succeeded') FROM jobs"
    with psycopg.connect(lab.outside(platform.database)) as connection:
        every, left = connection.execute(query).fetchone() or (0, 0)
    return 0 if left else int(every)


def passes_the_smoke_test(platform: Platform, lab: Lab, version: str) -> None:
    """From a container of the same network, through the front door: certificate, redirect, the
    address of the client, and a job."""
    (lab.folder / "token").write_text(platform.token)
    command = ["docker", "run", "--rm", "--interactive", "--network", NAME]
    command += ["--volume", f"{lab.folder}:/tls:ro", "--env", "SSL_CERT_FILE=/tls/cert.pem"]
    command += ["python:3.13-slim", "python", "-", f"https://{HOST}", "--commit", version]
    command += ["--token-file", "/tls/token"]
    program = Path(smoke.__file__).read_bytes()
    ended = subprocess.run(command, input=program, capture_output=True)
    out = ended.stdout.decode()
    assert ended.returncode == 0, out + ended.stderr.decode()
    assert "skipped" not in out
