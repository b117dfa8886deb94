"""Who may come in by SSH, and how."""

import subprocess
from pathlib import Path

from deploy.vps.provision import firewall, revert, sshd
from deploy.vps.provision.revert import SET
from deploy.vps.provision.sshd import settings


def test_ssh_takes_keys_only_and_root_stays_able_to_come() -> None:
    said = dict(
        line.split(" ", 1)
        for line in settings("admin").partition("Match ")[0].splitlines()
        if line and not line.startswith("#")
    )
    wanted = {
        "PermitRootLogin": "prohibit-password",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "AuthenticationMethods": "publickey",
        "MaxAuthTries": "4",
        "X11Forwarding": "no",
        "AllowAgentForwarding": "no",
        "AllowTcpForwarding": "local",
        "AllowUsers": "admin deploy root",
    }
    assert wanted.items() <= said.items()


def test_what_is_for_deploy_only_comes_last() -> None:
    """All that follows a Match is of whom it matches."""
    text = settings("admin")
    assert text.count("Match ") == 1
    assert "Match User deploy\n" + text.partition("Match User deploy\n")[2] == sshd.FOR_DEPLOY


def test_other_administrators_may_still_come_in() -> None:
    assert "\nAllowUsers admin charlie deploy root\n" in settings("admin", "charlie")


def test_an_administrator_has_a_shell_a_key_and_sudo(tmp_path: Path) -> None:
    """Of a table of accounts, with stand-ins of getent and sudo: alice has no key, bob no sudo."""
    shells = {
        "alice": "/bin/bash",
        "bob": "/bin/bash",
        "charlie": "/bin/bash",
        "games": "/bin/false",
    }
    lines = [f"{name}:x:1:1::{tmp_path}/{name}:{shell}\n" for name, shell in shells.items()]
    (tmp_path / "table").write_text("".join(lines))
    for name in shells:
        (tmp_path / name / ".ssh").mkdir(parents=True)
        text = "" if name == "alice" else "ssh-ed25519 AAAA\n"
        (tmp_path / name / ".ssh/authorized_keys").write_text(text)
    stand_ins = (
        f"getent() {{ cat {tmp_path}/table; }}\n"
        "sudo() { case $4 in bob) echo 'is not allowed' ;; *) echo 'User may run' ;; esac; }\n"
    )
    found = subprocess.run(["sh", "-c", stand_ins + sshd.OTHERS], capture_output=True, check=True)
    assert found.stdout.split() == [b"charlie"]


def test_what_takes_a_change_back_may_write_to_etc() -> None:
    """What is for all units of that name makes their file system read-only: the old file would
    never come back."""
    named = [
        line
        for path in sorted(Path(sshd.__file__).parent.glob("*.py"))
        for line in path.read_text().splitlines()
        if "= Risky(" in line
    ]
    assert len(named) == 3
    assert [line for line in named if 'Risky("revert-slipway-' not in line] == []
    assert "--service-type=oneshot" in SET  # so that who starts it knows what came of it


def take_back(file: Path) -> None:
    """As the timer does, and the boot; then what puts it in force."""
    command = ["sh", str(revert.HERE / "revert.sh"), str(file), "touch", f"{file}.loaded"]
    subprocess.run(command, check=True)


def test_a_change_that_nobody_confirmed_is_taken_back(tmp_path: Path) -> None:
    file = tmp_path / "nftables.conf"
    file.write_text("new")
    take_back(file)
    assert file.read_text() == "new"  # which was confirmed
    assert not Path(f"{file}.loaded").exists()
    Path(f"{file}.before").write_text("old")
    take_back(file)
    assert file.read_text() == "old"
    Path(f"{file}.before").touch()  # there was none
    take_back(file)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["nftables.conf.loaded"]


def test_what_was_there_before_the_first_try_is_what_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "nftables.conf"
    file.write_text("old")
    script = SET.replace("systemd-run", "true").replace("systemctl", "true")
    for text in ("new", "newer"):
        subprocess.run(["sh", "-c", script, "set", "unit", str(file), "true"], check=True)
        file.write_text(text)
    take_back(file)
    assert file.read_text() == "old"


def test_a_boot_takes_back_what_no_timer_does_any_more() -> None:
    unit = (revert.HERE.parent / "units" / revert.BOOT).read_text()
    words = [line.split() for line in unit.splitlines() if line.startswith("ExecStart=")]
    assert {program for program, _ in words} == {f"ExecStart={revert.PROGRAM}"}
    assert sorted(file for _, file in words) == [firewall.PATH, sshd.AUTHORIZED, sshd.PATH]
    assert "Before=nftables.service ssh.service " in unit
