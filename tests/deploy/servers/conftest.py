"""Servers of the lab, whose images are built first; `make test-deploy` fails without Docker."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.environment import ROOT
from tests.deploy.servers.clone import Clone
from tests.deploy.servers.fleet import UNLIMITED, Fleet
from tests.deploy.servers.lab import IMAGE, SUITES, Network, Server, build, is_built, new_key
from tests.deploy.tables import SERVERS

ALL = ("web", "worker", "database", "redis")


@pytest.fixture(scope="session")
def network(pytestconfig: pytest.Config) -> Iterator[None]:
    if subprocess.run(["docker", "version"], capture_output=True).returncode != 0:
        pytest.fail("no Docker engine answers: these tests need one")
    for suite in SUITES:
        if not is_built(suite):
            tell(pytestconfig, f"building {IMAGE}:{suite}, which takes a minute, and is kept …")
        build(suite)  # which is nothing to do, unless what it is made of has changed
    with Network():
        yield


def tell(config: pytest.Config, text: str) -> None:
    """Now, past what pytest keeps until the end of a test."""
    capture = config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        print(f"\n{text}", file=sys.stderr, flush=True)


@pytest.fixture(scope="session")
def keys(network: None) -> Iterator[Path]:
    """A folder with the key of an operator, for nobody else to read."""
    folder = Path(tempfile.mkdtemp(prefix="service-keys-"))
    new_key(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def key(keys: Path) -> str:
    return (keys / "key.pub").read_text().strip()


@pytest.fixture
def fleet(one: Fleet) -> Fleet:
    """The server, whatever serves there by now, and a clone without what other tests broke."""
    one.clone.back_to(one.clone.first)
    return one


def typed() -> list[str]:
    """What deploy/vps/README.md has typed for a fresh machine."""
    text = (ROOT / "deploy" / "vps" / "README.md").read_text()
    block = text.partition("## From a fresh machine")[2].partition("```sh\n")[2].partition("```")[0]
    return [line.partition("  #")[0].strip() for line in block.splitlines()]


@pytest.fixture(scope="session")
def one(keys: Path, key: str) -> Iterator[Fleet]:
    """One server for all, provisioned and with its first release."""
    folder = Path(tempfile.mkdtemp(prefix="service-one-"))
    with Server("one", key) as server:
        fleet = Fleet(Clone(folder / "clone"), keys, key, {server: ALL}, keep=3)
        copy, setup, provision, release, smoke = typed()
        assert copy == "cp deploy/servers.example.toml deploy/servers.toml"  # which ours stands for
        assert setup == "make setup"  # which was done for these tests
        start = time.monotonic()
        fleet.ok(*provision.split()[4:])
        SERVERS.figures.append(f"one server is provisioned in {time.monotonic() - start:.0f} s")
        start = time.monotonic()
        fleet.ok(*release.split()[4:])
        SERVERS.figures.append(
            f"its first release, with all packages: {time.monotonic() - start:.0f} s"
        )
        # Its name is in no DNS, and its certificate nobody's who is known.
        here = ("--at", server.address, "--insecure")
        smoked = fleet.clone.deploy(*smoke.split()[3:], *here)
        assert smoked.returncode == 0, smoked.stdout + smoked.stderr
        fleet.ok("env", "set", *UNLIMITED)
        yield fleet
    shutil.rmtree(folder)
