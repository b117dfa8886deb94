"""systemd's units of servers of one's own. That they run is for tests/deploy/servers to show."""

import os
import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from deploy.vps.provision import redis, system
from service.environment import ROOT
from service.settings import Settings

UNITS = ROOT / "deploy" / "vps" / "units"
SYSTEM = "/usr/lib/systemd/system"
LONG_LIVED = ("slipway-web@.service", "slipway-worker.service", "slipway-scheduler.service")
SERVICES = [
    path.name.replace("@.", "@blue.") for path in sorted(UNITS.glob("*.service")) if path.is_file()
]
LEAST_EXPOSED = 1.5

analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="only where there is systemd"
)


def unit(name: str) -> ConfigParser:
    parser = ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNITS / name)
    return parser


def run(command: list[str], folder: Path = UNITS) -> subprocess.CompletedProcess[str]:
    """systemd-analyze, for which our units lie beside those of this machine."""
    path = {**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:{SYSTEM}"}
    return subprocess.run(
        ["systemd-analyze", *command],
        env=path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def exposure(name: str, folder: Path = UNITS) -> float:
    said = run(["security", "--no-pager", "--offline=true", name], folder).stdout
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert found, said
    return float(found[1])


@analyze
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_little(name: str) -> None:
    assert exposure(name) <= LEAST_EXPOSED


@analyze
def test_the_control_without_what_all_share(tmp_path: Path) -> None:
    shutil.copy(UNITS / "slipway-worker.service", tmp_path)
    assert exposure("slipway-worker.service", tmp_path) > 4


@analyze
@pytest.mark.parametrize(
    "name",
    [
        *SERVICES,
        *("slipway-web@blue.socket", "slipway-web@green.socket"),
        *("slipway-backup.timer", "slipway-measure.timer"),
    ],
)
def test_systemd_finds_nothing_wrong(name: str) -> None:
    ended = run(["--man=no", "verify", name])
    # The program of a unit may not be here: that is a matter of the server.
    said = [
        line
        for line in ended.stdout.splitlines()
        if "is not executable" not in line and "Failed to create" not in line
    ]
    assert said == []


@pytest.mark.parametrize("name", LONG_LIVED)
def test_what_is_under_way_has_the_time_that_it_is_promised(name: str) -> None:
    service = unit(name)["Service"]
    grace = Settings.model_fields["shutdown_grace"].default.total_seconds()
    assert int(service["TimeoutStopSec"]) >= grace + 10
    assert service["KillMode"] == "mixed"


@pytest.mark.parametrize("name", LONG_LIVED)
def test_what_ends_is_started_again(name: str) -> None:
    found = unit(name)
    assert found["Service"]["Restart"] == "always"
    assert int(found["Unit"]["StartLimitBurst"]) >= 30


@pytest.mark.parametrize("text", [system.ANYWAY, redis.UNIT], ids=["any", "redis"])
def test_what_is_killed_comes_back_however_often(text: str) -> None:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.read_string(text)
    assert unit["Service"]["Restart"] in ("on-failure", "always")
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert unit["Service"]["RestartSec"] == "1s"


def test_the_colours_differ_in_their_port_only() -> None:
    blue, green = (
        (UNITS / f"slipway-web@{colour}.socket").read_text() for colour in ("blue", "green")
    )
    assert green == blue.replace("blue", "green").replace("8001", "8002")


@pytest.mark.parametrize("colour", ["blue", "green"])
def test_nginx_asks_where_a_colour_listens(colour: str) -> None:
    listens = re.findall(
        r"ListenStream=(\S+)", (UNITS / f"slipway-web@{colour}.socket").read_text()
    )
    colours = (ROOT / "deploy" / "nginx" / "colours.conf").read_text()
    upstream = re.findall(r"server (\S+) ", colours.split(f"upstream {colour} {{")[1].split("}")[0])
    assert upstream[:2] == listens
