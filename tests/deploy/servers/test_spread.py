"""Each role on a server of its own, released by CI; one server more, and one that has gone."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.platforms.builds import revision
from tests.deploy.servers.fleet import Fleet, assert_none_failed, provisioned
from tests.deploy.servers.lab import Server, new_key
from tests.deploy.servers.test_data import sign_up, users
from tests.waiting import until


@pytest.fixture(scope="module")
def ci_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ci")
    new_key(folder, "ci")
    return folder / "ci"


@pytest.fixture(scope="module")
def spread(keys: Path, key: str, ci_key: Path) -> Iterator[Fleet]:
    """A balancer, what keeps data, web, and a worker; CI has a key."""
    folder = Path(tempfile.mkdtemp(prefix="service-spread-"))
    with (
        Server("gate", key) as gate,
        Server("data", key) as data,
        Server("app", key) as app,
        Server("hand", key) as hand,
    ):
        roles = {gate: ["balancer"], data: ["database", "redis"], app: ["web"], hand: ["worker"]}
        public = ci_key.with_suffix(".pub").read_text().strip()
        yield provisioned(folder, keys, key, roles, ci_keys=[public])
    shutil.rmtree(folder)


def test_ci_releases_a_migration_and_goes_back(spread: Fleet, ci_key: Path) -> None:
    before, (name, text) = spread.commits(), revision("v2") or ("", "")
    version = spread.clone.commit("by CI", {f"migrations/versions/{name}": text})
    by_ci = ("vps", "--ssh-config", str(spread.config_of(ci_key)))
    with spread.load("CI releases a migration to four servers, and goes back") as load:
        released = spread.clone.deploy(*by_ci, "release")
        assert released.returncode == 0, released.stdout + released.stderr
        assert set(spread.commits()) == {"app", "hand"}
        assert set(spread.commits().values()) == {version}
        back = spread.clone.deploy(*by_ci, "rollback")
        assert back.returncode == 0, back.stdout + back.stderr
    assert_none_failed(load)
    assert spread.commits() == before
    assert spread.database.sql("TABLE alembic_version") == [["rehearsed"]]


def test_what_was_backed_up_is_there_after_the_database_was_dropped(spread: Fleet) -> None:
    sign_up(spread, "alice")
    until(lambda: spread.unfinished() == 0)
    rows = users(spread), spread.welcomed()
    spread.ok("backup", "--reason", "test")
    assert "can be restored" in spread.ok("restore-test")
    spread.database.sh("runuser -u postgres -- psql -qc 'DROP DATABASE slipway WITH (FORCE)'")
    assert spread.vps("restore", "no-such", "--yes").returncode == 1
    assert "off" in spread.ok("maintenance", "status")  # not closed for that
    spread.ok("restore", "latest", "--yes")
    until(lambda: spread.request("GET", "/health/ready").status == 200, seconds=30)
    assert (users(spread), spread.welcomed()) == rows
    sign_up(spread, "bob")
    until(lambda: spread.unfinished() == 0, seconds=60)


def test_a_server_more_is_asked_when_it_serves_and_not_when_it_has_gone(
    spread: Fleet, key: str
) -> None:
    roles = spread.roles
    with Server("more", key) as more:
        spread.write_settings({**roles, more: ["web"]})
        spread.ok("provision")
        assert "more: has no release yet" in spread.vps("status").stdout
        with spread.load("a server more, before it has a release and after") as load:
            load.wait_for_more(100)
            version = spread.clone.commit("on both")
            spread.ok("release")
        assert_none_failed(load)
        assert set(spread.commits().values()) == {version}
        more.stop()
        with spread.load("a rollback while one of two has gone") as load:
            said = spread.ok("rollback")
        assert "left out: more: " in said
        assert_none_failed(load)
    spread.write_settings(roles)
    spread.ok("provision", "--yes")
    assert spread.ok("provision").splitlines()[-1].startswith("nothing changed, on ")
    until(lambda: spread.vps("status").returncode == 0)
