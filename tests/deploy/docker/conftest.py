"""A Docker engine, the images, and a host; `make test-deploy` fails where there is none."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from service.environment import ROOT
from tests.chaos.load import Outcome, failed
from tests.deploy.docker.site import IMAGES, STAND_INS, Host, call, docker, have
from tests.deploy.tables import HOST
from tests.ports import free_port

Record = Callable[[str, Sequence[Outcome], int, float], None]
Figure = Callable[[str], None]


@pytest.fixture(scope="session")
def engine() -> None:
    if subprocess.run(["docker", "version"], capture_output=True).returncode != 0:
        pytest.fail("no Docker engine answers: these tests need one")
    for image in STAND_INS:
        have(image)


@pytest.fixture(scope="session")
def images(engine: None) -> Callable[[str], str]:
    """Builds the image of a version: the code as it is, and its COMMIT_SHA."""

    def build(version: str) -> str:
        tag = f"slipway:{version}"
        docker("build", "--quiet", "--tag", tag, "--build-arg", f"COMMIT_SHA={version}", str(ROOT))
        return tag

    return build


def first_deploy() -> str:
    """What deploy/docker/README.md has typed on a new host."""
    text = (ROOT / "deploy" / "docker" / "README.md").read_text()
    return text.partition("## First deploy")[2].partition("```sh\n")[2].partition("```")[0]


@pytest.fixture(scope="module")
def host(engine: None, request: pytest.FixtureRequest) -> Iterator[Host]:
    folder = Path(tempfile.mkdtemp(prefix="service-host-"))
    call(["sh", "-euc", first_deploy().replace("/etc/slipway", str(folder))])
    for name in ("fullchain.pem", "privkey.pem"):  # a self-signed one, key and certificate
        shutil.copy(ROOT / "tests" / "localhost.pem", folder / "tls" / name)
    (folder / "production.env").write_text(
        "RATE_LIMIT_DEFAULT=1000000 per 1 hour\nRATE_LIMIT_LOGIN=1000000 per 1 hour\n"
    )
    name = "slipway-" + request.module.__name__.rpartition("_")[2]
    found = Host(name, folder, free_port(), free_port())
    # What a run that was killed has left: its volumes know another password.
    found.compose("down", "--volumes", "--remove-orphans", "--timeout", "1")
    docker("rm", "--force", found.stack.lock, check=False)
    yield found
    found.compose("down", "--volumes", "--remove-orphans", "--timeout", "1")
    shutil.rmtree(folder)


@pytest.fixture
def record() -> Record:
    """Takes what a scenario did to requests, for the table at the end."""

    def add(scenario: str, outcomes: Sequence[Outcome], retried: int, seconds: float) -> None:
        times = sorted(outcome.seconds for outcome in outcomes)
        p99 = 1000 * times[int(len(times) * 0.99)] if times else 0
        lost = len(failed(outcomes))
        HOST.rows.append(
            f"| {scenario} | {len(outcomes)} | {lost} | {retried} | {p99:.0f} ms | {seconds:.0f} |"
        )

    return add


@pytest.fixture(scope="session")
def newer_compose(engine: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which `docker compose` is Debian testing's: that of the engine here may
    be an old one, and what they print differs."""
    folder = tmp_path_factory.mktemp("docker") / "cli-plugins"
    folder.mkdir()
    docker("build", "--quiet", "--tag", "slipway-tests:compose", str(IMAGES / "compose"))
    id = docker("create", "slipway-tests:compose").strip()
    try:
        plugin = "/usr/libexec/docker/cli-plugins/docker-compose"
        docker("cp", f"{id}:{plugin}", str(folder))
    finally:
        docker("rm", id)
    return {"DOCKER_CONFIG": str(folder.parent)}


@pytest.fixture(scope="session")
def figure() -> Figure:
    """Takes a line for below the table."""
    return HOST.figures.append
