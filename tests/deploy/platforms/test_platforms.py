"""Each platform's manifest, played as its platform plays it: releases, a failed one, a way back."""

import subprocess
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from deploy import smoke
from deploy.targets import TARGETS
from service.settings import ROOT
from tests.chaos.load import Ask, Load, failed
from tests.chaos.traffic import Traffic
from tests.deploy.docker.site import Site
from tests.deploy.platforms.behaviours import BEHAVIOURS
from tests.deploy.platforms.builds import build
from tests.deploy.platforms.lab import HOST, NAME, Lab
from tests.deploy.platforms.rehearsal import Rehearsal
from tests.people import PASSWORD
from tests.waiting import until

CLIENTS, PAUSE = 8, 0.2  # seconds between two requests of each of them


class Door(Site):
    """The platform's front door, as somebody sees it from outside."""

    def __init__(self, port: int) -> None:
        super().__init__(port, tls=True)


def sign_up() -> Ask:
    """What takes a while, and leaves a job."""
    return Ask("POST", "/api/users", {"email": f"{uuid4().hex}@example.com", "password": PASSWORD})


@pytest.mark.parametrize("target", BEHAVIOURS)
def test_releases_and_the_way_back(target: str, lab: Lab, row: list[object]) -> None:
    behaviour, manifest = BEHAVIOURS[target], TARGETS[target](ROOT)
    images = {version: build(behaviour.builds, version) for version in ("v1", "v2", "v3")}
    number = list(BEHAVIOURS).index(target)
    with Rehearsal(behaviour, manifest, manifest.stages[0], lab, number) as platform:
        assert platform.deploy(images["v1"], "v1") is None
        passes_the_smoke_test(platform, lab, "v1")

        door = Door(platform.router.port)
        traffic = Traffic(door)  # type: ignore[arg-type]
        makers = (traffic.list_posts, traffic.write_post, traffic.show_post, sign_up)
        with Load(door.port, *makers, clients=CLIENTS, tls=door.tls, pause=PAUSE) as load:
            load.wait_for_more(50)
            assert platform.deploy(images["v2"], "v2") is None
            load.wait_for_more(50)
            before = list(platform.running["web"])
            said = platform.deploy(images["v3"], "v3")
            assert said is not None
            assert "division by zero" in said
            assert platform.running["web"] == before
            load.wait_for_more(50)
            assert platform.deploy(images["v1"], "v1") is None  # its schema is behind by one
            load.wait_for_more(50)
        passes_the_smoke_test(platform, lab, "v1")

        lost = failed(load.outcomes)
        if behaviour.strategy != "gap":
            assert lost == []
        signed_up = sum(o.status == 201 and o.ask.path == "/api/users" for o in load.outcomes)
        assert signed_up > 5
        done = until(lambda: all_jobs_are_done(platform, lab), seconds=40)
        assert done >= signed_up
        assert not any(each.killed for each in platform.stopped), platform.stopped
        assert {each.code for each in platform.stopped if "web" in each.instance} <= {0, 143}
        slowest = max(each.seconds for each in platform.stopped)
        grace = platform.stage.processes["web"].grace
        row += [
            target,
            f"{max(platform.healthy_after):.1f} s of {behaviour.healthy_within:.0f}",
            len(load.outcomes),
            len(lost),
            f"{slowest:.1f} s of {grace.value if grace else manifest.platform.grace:.0f}",
            f"{done} of {done}",
            behaviour.not_confirmed or "-",
        ]


def all_jobs_are_done(platform: Rehearsal, lab: Lab) -> int:
    """How many jobs there were; 0 as long as one of them is not done."""
    query = "SELECT count(*), count(*) FILTER (WHERE status <> 'succeeded') FROM jobs"
    with psycopg.connect(lab.outside(platform.database)) as connection:
        every, left = connection.execute(query).fetchone() or (0, 0)
    return 0 if left else int(every)


def passes_the_smoke_test(platform: Rehearsal, lab: Lab, version: str) -> None:
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
