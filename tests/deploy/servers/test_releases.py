"""One server: releases and changes under load fail nothing; broken ones change nothing."""

import re
import subprocess
from collections.abc import Mapping

import pytest

from deploy.vps.host.layout import PORTS
from tests.begun import wait_for_step
from tests.chaos.load import failed
from tests.deploy.servers.clone import broken_revision
from tests.deploy.servers.faults import plain_web
from tests.deploy.servers.fleet import (
    UNLIMITED,
    Fleet,
    assert_none_failed,
    seconds_until_switched,
)
from tests.deploy.tables import SERVERS


def test_three_releases_a_rollback_and_a_variable_fail_no_request_and_lose_no_job(
    fleet: Fleet,
) -> None:
    with fleet.load("one server: three releases, a rollback, env set") as load:
        versions = [fleet.clone.commit(f"v{number}") for number in (1, 2, 3)]
        taken = []
        for version in versions:
            fleet.clone.git("checkout", "--quiet", version)
            taken.append(seconds_until_switched(fleet, "release"))
            assert fleet.serving() == version
        fleet.clone.git("checkout", "--quiet", "main")
        back = seconds_until_switched(fleet, "rollback")
        assert fleet.serving() == versions[1]
        fleet.ok("env", "set", "LOG_LEVEL=INFO")  # what it is anyway: others read the log
        assert fleet.serving() == versions[1]
    assert_none_failed(load)
    assert "LOG_LEVEL=INFO" in fleet.ok("env", "list").splitlines()
    SERVERS.figures.append(
        "from the call to the switch, under load: releases with the same packages"
        f" {', '.join(f'{each:.1f}' for each in taken)} s; a rollback {back:.1f} s"
    )


def test_the_control_fails_requests(fleet: Fleet) -> None:
    """What people do without this tool."""
    colour = fleet.status()["one"]["colour"]
    with (
        plain_web(fleet.front, colour, PORTS[colour]) as unit,
        fleet.load("the control: systemctl restart of web, which binds its port") as load,
    ):
        for _ in range(3):
            fleet.front.sh(f"systemctl restart {unit}")
            load.wait_for_more(50)
    assert len(failed(load.outcomes)) > 0


BROKEN: dict[str, tuple[Mapping[str, str | tuple[str, str] | None], str]] = {
    "it does not start": ({"service/app.py": "raise SystemExit('broken')\n"}, "broken"),
    "it never gets ready": (
        {"service/health.py": ("reason = health.not_ready()", 'reason = "broken"')},
        "ready",
    ),
    "its smoke test fails": ({"service/openapi.py": ('"paths":', '"ways":')}, "without paths"),
    "its migration fails": (broken_revision(), "division by zero"),
    "its packages cannot be had": (
        {"requirements.txt": "no-such-package-of-ours==1.0 --hash=sha256:" + "0" * 64 + "\n"},
        "no-such-package-of-ours",
    ),
    "its variables lack one": (
        {"service/settings.py": ("    jwt_secret: ", "    yours: str\n    jwt_secret: ")},
        "YOURS",
    ),
    "its worker does not start": (
        {"service/worker.py": "raise SystemExit('no worker')\n"},
        "no worker",
    ),
    "its job fails": (
        {"service/smoke.py": ("return settings().commit_sha", "raise RuntimeError")},
        "the job is failed",
    ),
    "it fails behind nginx only": (
        {
            "service/wsgi.py": (
                "app = create_app",
                "def wrong(service):\n"
                "    def app(environ, start):\n"
                "        if environ.get('HTTP_USER_AGENT') == 'smoke' and"
                " 'HTTP_X_FORWARDED_HOST' in environ:\n"
                "            start('500 Wrong', [])\n"
                "            return []\n"
                "        return service(environ, start)\n"
                "    return app\n\n\napp = create_app",
            )
        },
        "switch back",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_release_leaves_the_old_one_serving(fleet: Fleet, how: str) -> None:
    changes, why = BROKEN[how]
    before, revision = fleet.serving(), fleet.database.sql("TABLE alembic_version")
    fleet.clone.commit(how, changes)
    if "nginx" in how:
        text = (fleet.clone.folder / "service" / "wsgi.py").read_text()
        (fleet.clone.folder / "service" / "wsgi.py").write_text(text + "\napp = wrong(app)\n")
        fleet.clone.commit(how)
    with fleet.load(f"a broken release: {how}") as load:
        ended = fleet.vps("release")
    fleet.clone.back_to(fleet.clone.first)
    assert ended.returncode == 1, ended.stdout
    assert why in ended.stdout + ended.stderr
    assert "serves, as" in ended.stderr
    assert_none_failed(load)
    assert fleet.serving() == before
    assert fleet.database.sql("TABLE alembic_version") == revision


def test_two_releases_at_once_are_one(fleet: Fleet) -> None:
    first = fleet.clone.commit("first")
    with fleet.clone.begun(*fleet.words("release")) as running:
        rest = wait_for_step(running, "start")
        refused = fleet.vps("release")
        assert refused.returncode == 1
        assert "already" in refused.stderr and "alice" not in refused.stderr
        said = rest.read()
        assert running.wait() == 0, said
    assert fleet.serving() == first


def test_a_rollback_says_what_goes_back_with_it_and_takes_a_part_of_a_name(fleet: Fleet) -> None:
    was = fleet.status()["one"]["release"]
    said = fleet.ok("env", "set", "LOGS_LEVEL=x")
    assert "LOGS_LEVEL is no variable of the service (LOG_LEVEL?)" in said
    now = fleet.status()["one"]["release"]
    assert "variables go back too: LOGS_LEVEL" in fleet.ok("rollback")
    assert "LOGS_LEVEL" not in fleet.ok("env", "list")
    found = fleet.status()["one"]
    assert (found["release"], now in found["kept"]) == (was, True)
    fleet.ok("rollback", now.partition("-")[0])
    assert "LOGS_LEVEL=x" in fleet.ok("env", "list").splitlines()
    fleet.ok("env", "unset", "LOGS_LEVEL")


def test_a_revision_beside_one_that_was_deleted_is_refused(fleet: Fleet) -> None:
    """And not passed over, so that the code serves without its tables."""
    newest = max((fleet.clone.folder / "migrations" / "versions").glob("*.py"))
    (below,) = re.findall(r'^down_revision = "(\w+)"', newest.read_text(), re.M)
    before, schema = fleet.serving(), fleet.database.sql("TABLE alembic_version")
    mine = (
        f"from alembic import op\nrevision = 'mine'\ndown_revision = {below!r}\n"
        "def upgrade(): op.execute('CREATE TABLE mine (id int)')\n"
    )
    deleted = str(newest.relative_to(fleet.clone.folder))
    fleet.clone.commit("mine", {deleted: None, "migrations/versions/mine.py": mine})
    ended = fleet.vps("release")
    assert (ended.returncode, "never was at mine" in ended.stdout + ended.stderr) == (1, True)
    assert fleet.serving() == before
    assert fleet.database.sql("TABLE alembic_version") == schema


def test_a_rollback_does_not_need_the_limit_of_requests(fleet: Fleet) -> None:
    before = fleet.serving()
    fleet.ok("env", "set", "RATE_LIMIT_DEFAULT=2 per 1 hour")  # its own smoke tests use it up
    try:
        fleet.clone.commit("with the limit used up")
        fleet.ok("release")
        assert fleet.serving() != before
        fleet.ok("rollback")
        assert fleet.serving() == before
    finally:
        fleet.ok("env", "set", *UNLIMITED)


def test_a_commit_that_is_none_is_refused(fleet: Fleet) -> None:
    ended = fleet.vps("release", "no-such-branch")
    assert (ended.returncode, "is no commit of this clone" in ended.stderr) == (1, True)
    ended = fleet.vps("rollback", "no-such-release")
    assert ended.returncode == 1
    assert "no-such-release" in ended.stderr


def push(fleet: Fleet, *words: str) -> subprocess.CompletedProcess[str]:
    url = f"deploy@{fleet.front.address}:/srv/slipway/repository.git"
    return fleet.clone.git("push", url, *words, check=False, GIT_SSH_COMMAND=fleet.git_ssh)


def test_a_push_is_a_release_and_says_so_to_who_pushes(fleet: Fleet) -> None:
    version = fleet.clone.commit("pushed")
    with fleet.load("git push") as load:
        pushed = push(fleet, "--force", "main")
    assert pushed.returncode == 0, pushed.stderr
    assert "remote: → switch to" in pushed.stderr
    assert_none_failed(load)
    assert fleet.serving() == version


def test_a_push_whose_release_fails_is_rejected(fleet: Fleet) -> None:
    before = fleet.serving()
    fleet.clone.commit("broken", broken_revision())
    pushed = push(fleet, "--force", "main")
    fleet.clone.back_to(fleet.clone.first)
    assert pushed.returncode == 1
    assert "pre-receive hook declined" in pushed.stderr
    assert "division by zero" in pushed.stderr
    assert fleet.serving() == before


@pytest.mark.parametrize("words", [["main:other"], ["--delete", "main"], ["main:main", "main:x"]])
def test_what_is_no_push_of_the_branch_is_refused(fleet: Fleet, words: list[str]) -> None:
    before = fleet.serving()
    pushed = push(fleet, "--force", *words)
    assert pushed.returncode == 1
    assert fleet.serving() == before


def test_two_pushes_at_once_are_one(fleet: Fleet) -> None:
    version = fleet.clone.commit("first")
    with fleet.clone.begun(*fleet.words("release")) as running:
        rest = wait_for_step(running, "start")
        refused = push(fleet, "--force", "main")
        assert refused.returncode == 1
        assert "already" in refused.stderr
        said = rest.read()
        assert running.wait() == 0, said
    assert fleet.serving() == version


def test_a_full_disk_is_refused_before_anything_is_touched(fleet: Fleet) -> None:
    before = fleet.serving()
    releases = fleet.front.sh("ls /srv/slipway/releases")
    fleet.clone.commit("no room")
    fleet.front.sh("mount -t tmpfs -o size=20m,mode=777 full /srv/slipway/releases")
    try:
        ended = fleet.vps("release")
    finally:
        fleet.front.sh("umount /srv/slipway/releases")
    assert ended.returncode == 1
    assert "MiB" in ended.stderr and "free" in ended.stderr
    assert fleet.front.sh("ls /srv/slipway/releases") == releases
    assert fleet.serving() == before
