"""A dry run of provisioning against a stand-in of ssh, behind which is an empty server."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.environment import ROOT

# In a process of its own: gevent, which pyinfra brings, takes over how children are waited for.
PROGRAM = """
import sys
from pathlib import Path
from deploy.vps.provision import provision
from deploy.vps.settings import load

fleet = load(Path(sys.argv[1]))
sys.exit(provision(fleet, fleet.servers, dry_run="--dry-run" in sys.argv))
"""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA000000000000000000000000000000000000000000"
SERVERS = """\
domain = "api.example.com"
tls = "self-signed"
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA000000000000000000000000000000000000000000 alice"]

[servers.one]
address = "198.51.100.7"
roles = ["web", "worker", "database", "redis"]
"""
THREE = """\
domain = "api.example.com"
tls = "self-signed"
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA000000000000000000000000000000000000000000 alice"]

[servers.front]
address = "10.0.0.1"
roles = ["balancer", "database", "redis"]

[servers.web1]
address = "10.0.0.2"
roles = ["web", "worker"]

[servers.web2]
address = "10.0.0.3"
roles = ["web", "worker"]
"""
# Nothing is installed and there are no files: each question is answered by nothing.
SSH = """#!/bin/sh
for command; do :; done
case " $* " in *" -G "*)
    printf 'hostname 198.51.100.7\nport 22\nuserknownhostsfile {folder}/known /nowhere\n'
    exit ;;
esac
[ -e {folder}/known ] || printf '%s %s\n' 198.51.100.7 '{key}' >{folder}/known
printf '%s\\0' "$command" >>"{log}"
case $command in
    "printenv SSH_CONNECTION") echo "192.0.2.9 50000 198.51.100.7 2222" ;;
    "sh -s") echo '{probe}' ;;
    true | "sh -s -- show "* | "sh -c "*) {otherwise} ;;
    *) exit 99 ;;
esac
"""
PROBE = """\
distribution=debian
version={version}
machine=x86_64
init=systemd
python=3.13
clock={clock}
disk=41943040
known={known}
inodes=2500000
memory=2030000"""


def run(
    folder: Path,
    *words: str,
    settings: str = SERVERS,
    version: str = "13",
    known: str = "",
    otherwise: str = ":",
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """What it said, and which commands have gone to the server."""
    (folder / "deploy").mkdir()
    (folder / "deploy/servers.toml").write_text(settings)
    probe = PROBE.format(version=version, known=known, clock=int(time.time()))
    stand_in = SSH.format(
        folder=folder, key=KEY, log=folder / "log", probe=probe, otherwise=otherwise
    )
    (folder / "ssh").write_text(stand_in)
    (folder / "ssh").chmod(0o755)
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    command = [sys.executable, "-c", PROGRAM, str(folder), *words]
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    return ended, (folder / "log").read_text().split("\0")[:-1]


@pytest.fixture(scope="module")
def dry(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    ended, log = run(tmp_path_factory.mktemp("dry"), "--dry-run")
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines(), log


def test_a_dry_run_says_what_would_change_in_its_order(dry: tuple[list[str], list[str]]) -> None:
    lines, _ = dry
    steps = list(dict.fromkeys(line.split()[1] for line in lines if ": would " in line))
    assert steps[:4] == ["secrets:", "packages:", "users:", "ssh:"]
    assert steps.index("firewall:") < steps.index("postgresql:") < steps.index("environment:")
    assert steps.index("tls:") < steps.index("nginx:")  # which needs a certificate to start
    assert lines[-1].startswith(f"{len([each for each in lines if ': would ' in each])} changes")


def test_a_dry_run_touches_nothing(dry: tuple[list[str], list[str]]) -> None:
    """Each command that went to the server only looks: facts end well whatever they find."""
    _, log = dry
    asked = [each for each in log if each.startswith("sh -c ")]
    assert len(asked) > 20
    assert [each for each in asked if not each.endswith("2>/dev/null; true'")] == []
    others = [each for each in log if each not in asked]
    secrets = "sh -s -- show database redis jwt smoke metrics"
    assert others == ["printenv SSH_CONNECTION", "sh -s", secrets]


def test_a_server_that_is_not_fit_is_not_touched(tmp_path: Path) -> None:
    ended, log = run(tmp_path, version="11")
    assert ended.returncode == 1
    assert ended.stderr == (
        "failed: one: debian 11 is not supported: Debian 12 or newer, or Ubuntu 24.04 or newer\n"
        "nothing was touched\n"
    )
    assert log == ["printenv SSH_CONNECTION", "sh -s"]


def test_the_host_key_of_a_server_that_was_not_met_before_is_told_once(
    dry: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    fingerprint = "ED25519 SHA256:GkmZ4WuakBZpSAI/pH+GvrpPYffs1iFFWHejRbxMxmU"
    told = f"one  met for the first time, and taken for right: {fingerprint}. Compare that with"
    lines, _ = dry
    assert lines[0].startswith(told)
    (tmp_path / "known").write_text(f"198.51.100.7 {KEY}\n")
    ended, _ = run(tmp_path, "--dry-run")
    assert "met for the first time" not in ended.stdout


def test_it_is_told_of_one_that_does_not_let_us_in_too(tmp_path: Path) -> None:
    ended, _ = run(tmp_path, version="11")
    assert "met for the first time" in ended.stdout


def test_a_server_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    gone = "echo 'Connection timed out' >&2; exit 255"
    ended, _ = run(tmp_path, "--dry-run", otherwise=gone)
    assert ended.returncode == 1
    assert "failed: one: " in ended.stderr
    assert "Traceback" not in ended.stderr


# Of the servers of THREE: web1 has a release, and all that is asked about does run.
ONE_RELEASED = """case "$*" in
    *@10.0.0.2*"[ ! -s /srv/slipway/history ]"*) echo yes ;;
    *@10.0.0.1*"systemctl show "*slipway-worker*) printf 'Id=%s\\nActiveState=active\\n' \\
        slipway-worker.service ;;
esac"""


def test_a_server_without_a_release_gets_no_requests_and_who_has_lost_a_role_stops_last(
    tmp_path: Path,
) -> None:
    ended, _ = run(tmp_path, "--dry-run", settings=THREE, otherwise=ONE_RELEASED)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in ended.stdout.splitlines()]
    assert "front program: would give no requests to web2 before its release" in lines
    stops = lines.index("front lost roles: would disable slipway-worker.service")
    assert stops > lines.index("web2 nginx: would start nginx.service")


def test_who_is_the_last_to_work_is_not_stopped(tmp_path: Path) -> None:
    otherwise = ONE_RELEASED.replace("echo yes", ":")
    ended, _ = run(tmp_path, "--dry-run", settings=THREE, otherwise=otherwise)
    assert "give no requests to web1, web2" in ended.stdout
    assert "disable slipway-worker.service" not in ended.stdout


# Debian's umbrella is up, and the cluster that it stands for is dead.
DEAD = """case "$*" in
    *"ls -d /etc/postgresql"*) echo /etc/postgresql/17/main ;;
    *"systemctl show "*postgresql.service*)
        printf 'Id=%s\\nUnitFileState=enabled\\nActiveState=active\\n' postgresql.service ;;
    *"systemctl show "*postgresql@17-main.service*)
        printf 'Id=%s\\nActiveState=failed\\n' postgresql@17-main.service ;;
esac"""


@pytest.mark.parametrize("state", ["failed", "active"])
def test_a_cluster_that_is_dead_is_started_though_its_umbrella_is_up(
    tmp_path: Path, state: str
) -> None:
    ended, _ = run(tmp_path, "--dry-run", otherwise=DEAD.replace("failed", state))
    assert (ended.returncode, ended.stderr) == (0, "")
    would = "postgresql: would start postgresql@17-main.service"
    assert (would in ended.stdout) == (state == "failed")


def test_who_has_no_database_is_told_what_to_set(tmp_path: Path) -> None:
    settings = SERVERS.replace(', "database"', "")
    ended, _ = run(tmp_path, "--dry-run", settings=settings)
    assert "environment: no server has the role database, and DATABASE_URL is not" in ended.stdout


def test_what_does_harm_is_not_done_unasked(tmp_path: Path) -> None:
    known = '{"server": "one", "names": ["one", "two"], "web_servers": ["one"], "tls": "none"}'
    ended, log = run(tmp_path, known=known)
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[-1].startswith("careful: two is none of the servers any more")
    assert ended.stderr == "failed: nothing was touched: --yes, or say y, if that is wanted\n"
    assert log == ["printenv SSH_CONNECTION", "sh -s"]
