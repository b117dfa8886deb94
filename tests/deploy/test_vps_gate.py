"""What a key of CI may do on a server, and what may be pushed to it."""

from dataclasses import replace
from pathlib import Path

import pytest

from deploy.shell import Failed
from deploy.vps.host.gate import allowed
from deploy.vps.host.layout import Layout
from deploy.vps.host.receive import pushed
from tests.deploy.vps_host import SERVER

REPOSITORY = "/srv/slipway/repository.git"
PROGRAM = "/usr/local/bin/slipway"
OLD, NEW, NONE = "a" * 40, "b" * 40, "0" * 40


@pytest.mark.parametrize(
    ("asked", "command"),
    [
        (f"git-receive-pack '{REPOSITORY}'", ["git-receive-pack", REPOSITORY]),
        (f"git receive-pack {REPOSITORY}", ["git-receive-pack", REPOSITORY]),
        (f"git-receive-pack '{REPOSITORY}/'", ["git-receive-pack", REPOSITORY]),
        ("slipway release main --json", [PROGRAM, "release", "main", "--json"]),
        (f"{PROGRAM} status", [PROGRAM, "status"]),
        ("slipway hold 'a b'", [PROGRAM, "hold", "a b"]),
        ("slipway balance out web1", [PROGRAM, "balance", "out", "web1"]),
        ("slipway rollback", [PROGRAM, "rollback"]),
        ("slipway resolve main --json", [PROGRAM, "resolve", "main", "--json"]),
        (
            "slipway backup --reason migrate --token 1 --who 'a b' --attended --json",
            [
                *(PROGRAM, "backup", "--reason", "migrate", "--token", "1", "--who", "a b"),
                *("--attended", "--json"),
            ],
        ),
        # No shell reads this: it is the name of a commit that there is not.
        ("slipway release 'main; id'", [PROGRAM, "release", "main; id"]),
        ("slipway release main; id", [PROGRAM, "release", "main;", "id"]),
        ("slipway release $(id)", [PROGRAM, "release", "$(id)"]),
    ],
)
def test_ci_may_push_and_release(asked: str, command: list[str]) -> None:
    assert allowed(asked, Layout()) == command


def test_ci_may_push_to_a_folder_that_is_a_link_to_another_disk(tmp_path: Path) -> None:
    (tmp_path / "srv").symlink_to(tmp_path)
    found = Layout(tmp_path / "srv")
    command = ["git-receive-pack", str(tmp_path / "repository.git")]
    assert allowed(f"git-receive-pack '{REPOSITORY}'", found) == command


@pytest.mark.parametrize(
    "asked",
    [
        *(None, "", " ", "bash", "sh -c id", "id", "sudo -l", "scp -t /tmp", "slipway"),
        *("slipway env list", "slipway run id", "slipway console", "slipway restore latest --yes"),
        *("slipway lock off", "slipway maintenance on", "slipway ssh", "slipway receive"),
        *("slipway backup --reason nightly", "slipway backup --reason migrate --reason x"),
        *("slipway backup --reason migrate --token", "slipway backup --reason migrate more"),
        *("slipway backup --reason=migrate", "slipway backups", "slipway restore latest"),
        *("slipway backup", "slipway logs", "/tmp/slipway release main", "./slipway status"),
        *("git-upload-pack '/srv/slipway/repository.git'", "git-receive-pack /etc"),
        *("git-receive-pack /srv/slipway/repository.git/../x", "git-receive-pack"),
        f"git-receive-pack {REPOSITORY} --advertise-refs",
        f"git -c core.x=y receive-pack {REPOSITORY}",
        f"git-receive-pack {REPOSITORY}; id",
        "slipway 'status",  # a quote that does not end
        "env slipway status",
        "X=1 slipway status",
    ],
)
def test_and_nothing_else(asked: str | None) -> None:
    with pytest.raises(Failed, match=r"this key may not do that|this key opens no shell"):
        allowed(asked, Layout())


def test_a_push_of_the_branch_releases_it() -> None:
    assert pushed(f"{OLD} {NEW} refs/heads/main\n", SERVER) == NEW


def test_objects_may_be_pushed_without_a_release_and_beside_one() -> None:
    line = f"{NONE} {OLD} refs/slipway/1\n"
    assert pushed(line, SERVER) is None
    assert pushed(f"{line}{OLD} {NEW} refs/heads/main\n", SERVER) == NEW
    assert pushed(line, replace(SERVER, web_servers=("web1", "web2"))) is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (f"{OLD} {NEW} refs/heads/other\n", "HEAD:refs/heads/main"),
        (f"{NONE} {NEW} refs/tags/v1\n", "HEAD:refs/heads/main"),
        (f"{OLD} {NEW} refs/heads/main\n{NONE} {NEW} refs/tags/v1\n", "takes nothing else"),
        (f"{OLD} {NONE} refs/heads/main\n", "nothing is deleted here"),
        (f"{OLD} {NONE} refs/slipway/1\n", "nothing is deleted here"),
        ("", "this is called by Git"),
        ("nonsense\n", "this is called by Git"),
    ],
)
def test_other_pushes_are_rejected(said: str, why: str) -> None:
    with pytest.raises(Failed, match=why):
        pushed(said, SERVER)


def test_a_push_to_one_of_several_servers_is_rejected_with_what_to_do() -> None:
    with pytest.raises(Failed, match=r"one of 2 servers.*python -m deploy vps release"):
        pushed(f"{OLD} {NEW} refs/heads/main\n", replace(SERVER, web_servers=("web1", "web2")))


def test_one_server_with_web_may_be_one_of_several() -> None:
    with pytest.raises(Failed, match="one of 3 servers"):
        pushed(f"{OLD} {NEW} refs/heads/main\n", replace(SERVER, servers=3))


def test_the_branch_is_the_one_of_the_settings() -> None:
    server = replace(SERVER, branch="live")
    assert pushed(f"{OLD} {NEW} refs/heads/live\n", server) == NEW
    with pytest.raises(Failed, match="HEAD:refs/heads/live"):
        pushed(f"{OLD} {NEW} refs/heads/main\n", server)
