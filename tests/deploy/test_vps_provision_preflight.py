"""What is said of servers that cannot be provisioned, from what ssh and probe.sh have said."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.vps.provision import preflight
from deploy.vps.provision.connection import Ended
from deploy.vps.provision.preflight import About, problems, read, refusal
from deploy.vps.servers import Server

NOW = 1_700_000_000.0
SERVER = Server(
    name="one", address="198.51.100.7", private="198.51.100.7", roles=("web",), user="root"
)
GOOD = """\
distribution=debian
version=12
machine=x86_64
init=systemd
container=
python=3.11
clock=1700000003
disk=41943040
inodes=2500000
memory=2030000
swap=0
"""


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "ssh: connect to host 198.51.100.7 port 22: Connection timed out",
            "198.51.100.7 does not answer: is it on, and let in by a firewall?",
        ),
        (
            "ssh: connect to host 198.51.100.7 port 22: No route to host",
            "198.51.100.7 does not answer: is it on, and in this network?",
        ),
        (
            "ssh: connect to host 198.51.100.7 port 22: Connection refused",
            "198.51.100.7 is there, but nothing listens on its port 22: is it SSH's?"
            " Or has it banned this address (fail2ban; 10 minutes, and longer each time)?",
        ),
        (
            "root@198.51.100.7: Permission denied (publickey).",
            "root@198.51.100.7 does not accept your key: put it there"
            " (ssh-copy-id root@198.51.100.7), or is `user` in deploy/servers.toml another one?"
            " ssh-add -l shows the keys that you have",
        ),
        (
            "@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@\n"
            "Host key verification failed.",
            "198.51.100.7 has another host key than it had. If it was installed anew:"
            " ssh-keygen -R 198.51.100.7. If not, somebody else may be answering: do not go on",
        ),
        (
            "kex_exchange_identification: Connection closed by remote host",
            "the connection to root@198.51.100.7 broke:"
            " kex_exchange_identification: Connection closed by remote host",
        ),
    ],
    ids=["silent", "no way", "no sshd", "key", "host key", "other"],
)
def test_what_ssh_says_is_put_in_words(said: str, expected: str) -> None:
    assert refusal(SERVER, Ended(255, b"", said.encode())) == expected


def test_a_user_who_may_not_use_sudo_is_told_what_to_add() -> None:
    server = SERVER.model_copy(update={"user": "alice"})
    said = refusal(server, Ended(1, b"", b"sudo: a password is required\n"))
    assert said == (
        "alice may not use sudo without a password, which provisioning needs: add"
        ' `alice ALL=(ALL) NOPASSWD: ALL` to /etc/sudoers.d/alice, or set `user = "root"`'
    )


def test_a_fresh_server_is_fit() -> None:
    about = read(GOOD)
    assert about == About(
        distribution="debian",
        version="12",
        machine="x86_64",
        init="systemd",
        python="3.11",
        clock=1_700_000_003,
        disk=41943040,
        inodes=2_500_000,
        memory=2_030_000,
    )
    assert list(problems(about, NOW)) == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"distribution": "debian", "version": "11"}, "debian 11 is not supported: Debian 12"),
        ({"distribution": "fedora", "version": "43"}, "fedora 43 is not supported: Debian 12"),
        ({"distribution": "ubuntu", "version": "22.04"}, "ubuntu 22.04 is not supported"),
        ({"python": "3.10"}, "its Python is 3.10; 3.11 or newer is needed"),
        ({"machine": "armv7l"}, "its processor is armv7l: x86_64 or aarch64 is supported"),
        ({"init": "bash"}, "its first process is bash, where systemd is needed"),
        ({"memory": 300_000}, "it has 292 MiB of memory; 512 MiB is the least"),
        ({"disk": 102_400}, "its disk has 100 MiB left, and 2048 are needed: make room"),
        ({"inodes": 900}, "its disk can take 900 more files only"),
        ({"unresolved": ("deb.example.com",)}, "it cannot find deb.example.com, where its"),
        ({"locked": ("apt-get (12)",)}, "apt has been locked for 60 s, by apt-get (12): wait"),
        ({"clock": int(NOW) - 3600}, "its clock is 60 minutes behind ours: set it"),
        ({"clock": int(NOW) + 600}, "its clock is 10 minutes ahead of ours: set it"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_not_fit_is_said_in_one_line(changed: dict[str, object], expected: str) -> None:
    (said,) = problems(replace(read(GOOD), **changed), NOW)  # type: ignore[arg-type]
    assert said.startswith(expected)
    assert "\n" not in said


@pytest.mark.parametrize(("distribution", "version"), [("ubuntu", "24.04"), ("debian", "13")])
def test_others_are_fit_too(distribution: str, version: str) -> None:
    assert not list(problems(replace(read(GOOD), distribution=distribution, version=version), NOW))


def test_all_that_is_wrong_is_said_at_once() -> None:
    about = replace(read(GOOD), version="11", disk=0)
    assert len(list(problems(about, NOW))) == 2


def test_the_probe_answers_here() -> None:
    """On any Linux; what it says of this one is not ours to know."""
    ended = subprocess.run(["sh", str(preflight.PROBE)], capture_output=True, text=True, timeout=60)
    about = read(ended.stdout)
    assert about.distribution
    assert about.machine
    assert about.clock > 1_700_000_000
    assert about.disk > 0
    assert about.memory > 0


@pytest.mark.parametrize(
    ("script", "container"),
    [("echo lxc", "lxc"), ("echo none; exit 1", ""), ("exit 127", "")],
)
def test_a_machine_of_its_own_is_no_container(script: str, container: str, tmp_path: Path) -> None:
    """As systemd-detect-virt answers there: "none", and 1."""
    (tmp_path / "systemd-detect-virt").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "systemd-detect-virt").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    command = ["sh", str(preflight.PROBE)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env={"PATH": path})
    assert read(ended.stdout).container == container
