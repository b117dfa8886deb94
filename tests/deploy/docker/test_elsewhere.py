"""It does not matter where the caller is, nor which Compose the caller has."""

import getpass
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from service.environment import environment
from tests.deploy.docker.site import Host, docker
from tests.ports import free_port
from tests.waiting import until

Build = Callable[[str], str]


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment in which `docker` speaks to this machine's engine by SSH."""
    for name in ("server", "client"):
        key = str(tmp_path / name)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    shutil.copy(tmp_path / "client.pub", tmp_path / "authorized_keys")
    port = free_port()
    (tmp_path / "sshd").write_text(
        f"HostKey {tmp_path}/server\nAuthorizedKeysFile {tmp_path}/authorized_keys\n"
        f"ListenAddress 127.0.0.1:{port}\nPidFile none\nStrictModes no\nMaxStartups 100\n"
        "PermitRootLogin prohibit-password\nPasswordAuthentication no\nUsePAM no\n"
    )
    # ssh reads no HOME: so its options are given by a command of the same name.
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin" / "ssh"
    wrapper.write_text(
        f"#!/bin/sh\necho x >>{tmp_path}/used\n"
        f"exec {shutil.which('ssh')} -F none -i {tmp_path}/client -o StrictHostKeyChecking=no"
        f' -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "$@"\n'
    )
    wrapper.chmod(0o755)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    program = shutil.which("sshd", path=f"{environment()['PATH']}:/usr/sbin")
    assert program, "sshd is not installed (Debian: openssh-server)"
    server = subprocess.Popen([program, "-D", "-e", "-f", tmp_path / "sshd"])
    try:
        until(lambda: accepts(port))
        yield {
            "DOCKER_HOST": f"ssh://{getpass.getuser()}@127.0.0.1:{port}",
            "PATH": f"{tmp_path}/bin:{environment()['PATH']}",
        }
    finally:
        server.terminate()
        server.wait()


def accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def test_a_release_from_elsewhere_by_ssh(
    host: Host, images: Build, ssh: dict[str, str], tmp_path: Path
) -> None:
    docker("tag", images("remote"), "slipway:by-ssh")
    ended = host.deploy("release", "slipway:by-ssh", **ssh)
    assert "slipway:by-ssh serves" in ended.stdout, ended.stderr
    assert host.serving() == "remote"
    assert (tmp_path / "used").read_text().count("x") > 20


def test_with_a_newer_compose(host: Host, images: Build, newer_compose: dict[str, str]) -> None:
    said = docker("compose", "version", "--short", **newer_compose)
    assert tuple(map(int, re.findall(r"\d+", said)[:2])) >= (2, 40)
    for version in ("newer-1", "newer-2"):
        ended = host.deploy("release", images(version), **newer_compose)
        assert f"slipway:{version} serves" in ended.stdout, ended.stderr
        assert host.serving() == version
    ended = host.deploy("rollback", **newer_compose)
    assert "slipway:newer-1 serves" in ended.stdout, ended.stderr
