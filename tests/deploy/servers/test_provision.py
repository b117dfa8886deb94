"""A fresh server: provisioned, provisioned again, and refused in words if it is not fit."""

import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.begun import wait_for
from tests.deploy.servers.clone import Clone
from tests.deploy.servers.fleet import Fleet
from tests.deploy.servers.lab import Server, new_key
from tests.deploy.tables import SERVERS
from tests.waiting import until

ALL = ("web", "worker", "database", "redis")


@pytest.fixture(scope="module")
def bare(keys: Path, key: str) -> Iterator[Fleet]:
    """A server as its provider hands it over; nothing of these tests may change that."""
    folder = Path(tempfile.mkdtemp(prefix="service-bare-"))
    with Server("bare", key) as server:
        yield Fleet(Clone(folder / "clone"), keys, key, {server: ALL})
    shutil.rmtree(folder)


def test_what_is_provisioned_again_does_not_change(one: Fleet) -> None:
    start = time.monotonic()
    said = one.ok("provision")
    SERVERS.figures.append(f"provisioned again: {time.monotonic() - start:.0f} s, nothing changed")
    assert said.splitlines()[-1].startswith("nothing changed, on one, in ")


def test_what_somebody_changed_is_put_right(one: Fleet) -> None:
    one.front.sh("chmod 600 /etc/nginx/nginx.conf; rm /etc/systemd/system/slipway-worker.service")
    one.front.sh("systemctl stop slipway-scheduler slipway-web@blue slipway-web@green postgresql")
    said = one.ok("provision")
    assert re.search(r"^[1-9]\d* changes?, on one", said, re.M), said
    assert "nothing changed" in one.ok("provision")
    until(lambda: one.request("GET", "/health/ready").status == 200)
    until(lambda: one.status()["one"].get("health") == "healthy", seconds=60)


def test_a_dry_run_says_what_it_would_do_and_does_nothing(bare: Fleet) -> None:
    look = "ls -lR /etc /srv /usr/local | md5sum; dpkg-query -W | md5sum"
    before = bare.front.sh(look)
    said = bare.ok("provision", "--dry-run")
    assert re.search(r"^\d\d+ changes to make, on bare", said, re.M), said
    assert "install" in said
    assert bare.front.sh(look) == before


REFUSED = {
    "a distribution that is not known": (
        "sed -i 's/^ID=.*/ID=arch/; s/^ID_LIKE=.*//' /etc/os-release",
        "cp /tmp/os-release /etc/os-release",
        "Debian",
    ),
    "names that are not found": (
        "echo nameserver 127.0.0.9 >/etc/resolv.conf",
        "cat /tmp/resolv.conf >/etc/resolv.conf",
        "resolv",
    ),
    "a disk that is full": (
        "mount -t tmpfs -o size=50m full /var",
        "umount /var",
        "MiB",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_server_that_is_not_fit_is_refused_before_it_is_touched(bare: Fleet, what: str) -> None:
    before, after, expected = REFUSED[what]
    bare.front.sh("cp --dereference /etc/os-release /etc/resolv.conf /tmp")
    bare.front.sh(before)
    try:
        ended = bare.vps("provision")
    finally:
        bare.front.sh(after)
    assert ended.returncode == 1, ended.stdout
    assert expected in ended.stderr
    assert ended.stderr.startswith("failed: bare: ")
    assert "nothing was touched" in ended.stderr


def test_a_key_that_is_not_let_in_is_said_to_be_so(bare: Fleet, tmp_path: Path) -> None:
    new_key(tmp_path, "other")
    config = bare.config.read_text().replace(f"{bare.keys}/key", f"{tmp_path}/other")
    (tmp_path / "config").write_text(config)
    ended = bare.clone.deploy("vps", "--ssh-config", str(tmp_path / "config"), "provision")
    assert ended.returncode == 1
    assert "does not accept your key" in ended.stderr


def test_a_host_key_is_told_when_it_is_met_first_and_not_again(bare: Fleet) -> None:
    shown = bare.front.sh("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    bare.known_hosts.unlink(missing_ok=True)
    said = bare.ok("provision", "--dry-run")
    assert "met for the first time" in said and shown in said
    assert "met for the first time" not in bare.ok("provision", "--dry-run")


def test_a_host_key_that_changed_is_not_gone_past(bare: Fleet) -> None:
    bare.vps("provision", "--dry-run")  # known from now on
    change = "rm /etc/ssh/ssh_host_*; ssh-keygen -A; systemctl restart ssh"
    bare.front.sh(change)
    ended = bare.vps("provision")
    bare.known_hosts.unlink()
    assert ended.returncode == 1
    assert f"ssh-keygen -R {bare.front.address}" in ended.stderr


def test_a_user_who_is_not_root_and_may_not_become_it_is_refused(bare: Fleet, key: str) -> None:
    bare.front.sh(
        "useradd --create-home --shell /bin/bash guest; mkdir -p ~guest/.ssh;"
        " cp ~/.ssh/authorized_keys ~guest/.ssh/; chown -R guest: ~guest/.ssh"
    )
    settings = bare.clone.folder / "deploy" / "servers.toml"
    text = settings.read_text()
    settings.write_text(text.replace("[servers.bare]", '[servers.bare]\nuser = "guest"'))
    ended = bare.vps("provision")
    settings.write_text(text)
    assert ended.returncode == 1
    assert "guest" in ended.stderr and "sudo" in ended.stderr


def test_a_server_that_does_not_answer_is_said_to_be_so(bare: Fleet) -> None:
    settings = bare.clone.folder / "deploy" / "servers.toml"
    text = settings.read_text()
    settings.write_text(text.replace("[servers.bare]", "[servers.bare]\nport = 2222"))
    ended = bare.vps("provision")
    settings.write_text(text)
    assert ended.returncode == 1
    assert "nothing listens on its port 2222" in ended.stderr


@pytest.fixture(scope="module")
def older(keys: Path, key: str) -> Iterator[Fleet]:
    """An older Debian, whose provision was killed a third of the way, and interrupted later."""
    folder = Path(tempfile.mkdtemp(prefix="service-older-"))
    with Server("older", key, "bookworm") as server:
        fleet = Fleet(Clone(folder / "clone"), keys, key, {server: ALL})
        for step, number in ((" users: ", signal.SIGKILL), (" postgresql: ", signal.SIGINT)):
            with fleet.clone.begun(*fleet.words("provision")) as running:
                wait_for(running, step)
                running.send_signal(number)
                assert running.stdout is not None
                running.stdout.close()
                assert running.wait() in (-signal.SIGKILL, 130)
        fleet.ok("provision")
        yield fleet
    shutil.rmtree(folder)


def test_a_provision_that_was_killed_and_interrupted_is_finished_by_the_next(older: Fleet) -> None:
    assert "nothing changed" in older.ok("provision")
    older.ok("release")
    assert older.serving() == older.clone.first


def test_two_who_provision_do_so_one_after_the_other(one: Fleet) -> None:
    with one.clone.begun(*one.words("provision")) as running:
        rest = wait_for(running, "debian 13")
        second = one.vps("provision")
        said = rest.read()
        assert running.wait() == 0, said
    assert second.returncode == 1
    assert "is provisioning it: wait until that has ended" in second.stderr


def test_a_server_that_is_half_provisioned_is_said_to_be_so(one: Fleet) -> None:
    """As a provision leaves it that ended between its users and our program."""
    for path in ("/usr/local/bin/slipway", "/srv/slipway/repository.git"):
        one.front.sh(f"mv {path} {path}.away")
        try:
            ended = one.vps("status" if path.endswith("slipway") else "release")
        finally:
            one.front.sh(f"mv {path}.away {path}")
        assert ended.returncode == 1
        assert "one: is not provisioned to its end" in ended.stdout + ended.stderr


def test_a_boot_takes_back_what_nobody_has_confirmed(one: Fleet) -> None:
    """As of a provision that was cut off, before its timer took it back."""
    names = ("nftables.conf", "ssh/sshd_config.d/00-slipway.conf", "ssh/authorized_keys.d/deploy")
    files = " ".join(f"/etc/{name}" for name in names)
    one.front.sh(f"for f in {files}; do cp -p $f $f.before; echo '# not confirmed' >>$f; done")
    one.front.reboot()
    assert "not confirmed" not in one.front.sh(f"cat {files}")
    assert "table inet slipway" in one.front.sh("nft list tables")
    until(lambda: one.status()["one"].get("health") == "healthy", seconds=60)
    one.ok("provision")  # the lab's servers forget some settings of the kernel


def test_only_what_users_and_operators_need_is_open(one: Fleet) -> None:
    script = (
        "for port in 22 80 443 5432 6379 8001 8002 8080; do"
        f' timeout 2 bash -c "</dev/tcp/{one.front.address}/$port" 2>/dev/null && echo $port;'
        " done; true"
    )
    with Server("outsider", one.front.key) as outsider:
        found = outsider.sh(script, check=False)
    assert found.split() == ["22", "80", "443"]


def test_each_unit_is_as_closed_as_it_can_be(one: Fleet) -> None:
    units = ("web@blue", "worker", "scheduler", "migrate@blue", "boot", "backup", "revert")
    for unit in units:
        said = one.front.sh(
            f"systemd-analyze security --no-pager slipway-{unit}.service | tail -1", check=False
        )
        found = re.search(r"(\d+\.\d)", said)
        assert found, said
        assert float(found[1]) <= 1.5, (unit, said)
    names = " ".join(f"slipway-{unit}.service" for unit in units)
    assert one.front.sh(f"systemd-analyze verify {names} slipway-backup.timer 2>&1") == ""


def test_an_operator_is_let_in_by_key_and_by_nothing_else(one: Fleet) -> None:
    said = one.front.sh("sshd -T")
    for line in (
        "passwordauthentication no",
        "kbdinteractiveauthentication no",
        "permitrootlogin without-password",
        "permitemptypasswords no",
        "x11forwarding no",
    ):
        assert line in said.splitlines(), line


def test_who_deploys_may_do_one_thing_as_root(one: Fleet) -> None:
    deploy = "runuser -u deploy -- sudo --non-interactive"
    assert one.front.sh(f"{deploy} /usr/local/sbin/slipway-root boot; echo $?").endswith("0\n")
    for command in (
        "id",
        "/usr/local/sbin/slipway-root start red",
        "/usr/local/sbin/slipway-root database drop slipway",
        "/usr/local/sbin/slipway-root database create 'slipway_a; DROP'",
    ):
        said = one.front.sh(f"{deploy} {command} >/dev/null 2>&1; echo $?", check=False)
        assert said != "0\n", command
    assert one.front.sh("ls -ld /usr/local/sbin/slipway-root").startswith("-rwxr-xr-x 1 root root")
