"""Back-ups on a server: how PostgreSQL's programs are told, what is kept, and what is compared."""

import argparse
import json
import shutil
import signal
from collections import namedtuple
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.shell import CommandFailed, Failed
from deploy.vps.host import backups, data, postgres, restore
from deploy.vps.host.layout import Host
from deploy.vps.host.release import release
from tests.deploy.vps_host import Played, make_host, unpacked


@pytest.fixture
def server(tmp_path: Path) -> tuple[Host, Played]:
    return make_host(tmp_path)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgres://u:p@h:5/d", {"HOST": "h", "PORT": "5", "USER": "u", "PASSWORD": "p"}),
        ("postgresql://u@h/d", {"HOST": "h", "USER": "u"}),
        ("postgresql+psycopg://u:p%40%2F@h/d", {"HOST": "h", "USER": "u", "PASSWORD": "p@/"}),
        ("postgresql://h/d?sslmode=require&x=y", {"HOST": "h", "SSLMODE": "require"}),
        ("postgresql:///d?host=/run/postgresql", {"HOST": "/run/postgresql"}),
        ("postgresql://[::1]:5433/d", {"HOST": "::1", "PORT": "5433"}),
    ],
)
def test_all_spellings_of_a_url_are_told_by_the_environment(url: str, told: dict[str, str]) -> None:
    found = postgres.connection(url)
    wanted = {f"PG{name}": text for name, text in told.items()}
    assert found == {**wanted, "PGDATABASE": "d", "PGCONNECT_TIMEOUT": "5"}


@pytest.mark.parametrize(
    "url", ["mysql://u:hunter2@h/d", "u:hunter2@h", "postgres://u:hunter2@h:x/d"]
)
def test_what_is_no_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(Failed, match="DATABASE_URL") as failure:
        postgres.connection(url)
    assert "hunter2" not in str(failure.value)


def test_the_url_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgres://h/d\n")
    (tmp_path / ".env").write_text(f"DATABASE_URL_FILE={tmp_path}/url\n")
    assert postgres.of(tmp_path / ".env")["PGHOST"] == "h"
    (tmp_path / ".env").write_text("OTHER=1\n")
    with pytest.raises(Failed, match=r"\.env has no DATABASE_URL"):
        postgres.of(tmp_path / ".env")


def test_a_pg_dump_that_is_too_old_is_said_in_words() -> None:
    said = (
        "pg_dump: error: aborting because of server version mismatch\n"
        "pg_dump: detail: server version: 17.2 (Debian); pg_dump version: 15.9"
    )
    failure = postgres.explained(CommandFailed(["pg_dump"], 1, said))
    assert "pg_dump here is version 15 and the database 17" in str(failure)
    assert "apt install postgresql-client-17" in str(failure)
    other = CommandFailed(["pg_dump"], 1, "no space left")
    assert postgres.explained(other) is other


def test_a_question_about_databases_has_the_time_that_it_needs(server: tuple[Host, Played]) -> None:
    """Whatever limit the service's role has: how large a database is can take longer."""
    host, played = server
    postgres.databases(host, {}, "slipway_")
    asked = played.full[-1]
    assert 0 < asked.index("SET statement_timeout = 0") < asked.index("SELECT datname")


def test_a_backup_says_what_is_in_it(server: tuple[Host, Played]) -> None:
    host, played = server
    line = backups.make(host, None, "nightly")
    (found,) = backups.every(host.layout)
    assert line == found.line()
    assert found.name.endswith("-nightly")
    assert (found.about.revision, found.about.counts) == ("0004", {"users": 3})
    assert found.dump.stat().st_mode & 0o077 == 0
    assert "--snapshot=00000003-0000001B-1" in played.full[0]
    assert backups.find(host.layout, "latest") == backups.find(host.layout, found.name) == found


def test_what_counts_a_large_table_has_all_the_time_that_it_needs(
    server: tuple[Host, Played],
) -> None:
    """The role may run nothing for longer than 5 min."""
    host, played = server
    backups.make(host, None, "nightly")
    restore.test(host, "latest")
    assert len(played.asked) == 2
    for asked in played.asked:
        assert asked[:2] == ["SET statement_timeout = 0;", "SET lock_timeout = 0;"]
        assert postgres.COUNTS in asked


def test_one_that_fails_leaves_nothing(server: tuple[Host, Played]) -> None:
    host, played = server
    played.failing = {"pg_dump": "no space left on device"}
    with pytest.raises(Failed, match="no space left on device"):
        backups.make(host, None, "nightly")
    assert list(host.layout.backups.iterdir()) == []
    with pytest.raises(Failed, match=r"no back-up 'latest'.*there are: none"):
        backups.find(host.layout, "latest")
    with pytest.raises(Failed, match="is no reason"):
        backups.make(host, None, "../x")


def add(
    host: Host,
    day: int,
    *,
    described: bool = True,
    revision: str | None = "0004",
    users: int = 3,
) -> None:
    name = f"202601{day:02}T031000Z-nightly"
    (host.layout.backups / f"{name}.dump").write_bytes(b"a dump")
    if described:
        about = {"revision": revision, "counts": {"users": users}, "bytes": 6, "seconds": 0.1}
        (host.layout.backups / f"{name}.json").write_text(json.dumps(about))


def test_one_waits_for_another_whose_file_it_would_remove(
    server: tuple[Host, Played], capsys: pytest.CaptureFixture[str]
) -> None:
    host, played = server
    said = argparse.Namespace(reason="nightly", who="alice", attended=False)
    with backups.alone(host):
        part = host.layout.backups / ".20260101T031000Z-migrate.part"
        part.touch()

        def end() -> None:
            assert part.exists()
            part.unlink()

        played.during = {"flock --wait 2": end}
        data.back_up(host, said)
    assert played.ran[0].startswith("blue: flock --wait 2")
    assert "wait for another one to end" in capsys.readouterr().out
    played.ran.clear()
    data.back_up(host, said)
    assert "flock" not in played.ran[0]


@pytest.fixture
def unheard() -> Iterator[None]:
    """Signals that nobody listens to yet."""
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = [signal.signal(number, lambda *_: pytest.fail("nobody listens")) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("unheard")
def test_who_is_told_to_stop_stops_and_writes_it_down(server: tuple[Host, Played]) -> None:
    host, played = server
    twice = [signal.SIGTERM] * 2
    played.during = {"pg_dump": lambda: [signal.raise_signal(each) for each in twice]}  # type: ignore[dict-item]
    with pytest.raises(KeyboardInterrupt):
        data.back_up(host, argparse.Namespace(reason="asked", who="alice", attended=False))
    last = json.loads(host.layout.log.read_text().splitlines()[-1])
    assert (last["what"], last["result"]) == ("backup asked", "broken off")


def test_old_ones_go_but_the_last_three_stay(server: tuple[Host, Played]) -> None:
    host, _ = server
    for day in range(1, 21):
        add(host, day)
    (host.layout.backups / ".half.part").touch()
    gone = backups.prune(host, datetime(2026, 1, 20, 4, tzinfo=UTC))
    assert [name[6:8] for name in gone] == ["01", "02", "03", "04", "05", "06"]
    assert len(list(host.layout.backups.iterdir())) == 2 * 14
    backups.prune(host, datetime(2027, 1, 1, tzinfo=UTC))
    assert [each.name[6:8] for each in backups.every(host.layout)] == ["18", "19", "20"]


def test_old_ones_go_before_a_new_one_needs_their_room(
    server: tuple[Host, Played], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk that is full of them none would be made, and so none removed."""
    host, _ = server
    for day in range(1, 6):
        add(host, day)

    def usage(_: Path) -> object:
        free = 0 if len(backups.every(host.layout)) > backups.FEWEST else 1 << 30
        return namedtuple("Usage", "free")(free)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    data.back_up(host, argparse.Namespace(reason="manual", who="alice", attended=False))
    left = [each.name for each in backups.every(host.layout)]
    assert [name[6:8] for name in left[:2]] == ["04", "05"]
    assert left[2].endswith("-manual")


def test_those_before_migrations_go_too_where_there_are_none_at_night(tmp_path: Path) -> None:
    host, played = make_host(tmp_path, roles=frozenset({"web", "worker", "redis"}))
    for day in range(1, 10):
        add(host, day)
    played.pending = "0005"
    release(host, unpacked(host, 1), "alice")
    left = [each.name for each in backups.every(host.layout)]
    assert [name[6:8] for name in left[:2]] == ["08", "09"]
    assert left[2].endswith("-migrate")


def test_one_without_its_description_is_none(server: tuple[Host, Played]) -> None:
    host, _ = server
    add(host, 1, described=False)
    assert backups.every(host.layout) == []
    name = "20260101T031000Z-nightly"
    with pytest.raises(Failed, match=rf"none\n{name}\.dump is none without {name}\.json"):
        backups.find(host.layout, "latest")


def test_the_latest_is_the_newest_with_something_in_it(server: tuple[Host, Played]) -> None:
    host, _ = server
    add(host, 2, revision=None)
    add(host, 3, users=0)
    with pytest.raises(Failed, match=r"'latest' \(an empty one is to be named\).*\n  20260102"):
        backups.find(host.layout, "latest")
    add(host, 1)
    assert backups.find(host.layout, "latest").name == "20260101T031000Z-nightly"
    assert backups.find(host.layout, "20260103T031000Z-nightly").is_empty


def test_one_that_deploy_cannot_read_is_named(
    server: tuple[Host, Played], capsys: pytest.CaptureFixture[str]
) -> None:
    host, _ = server
    add(host, 2, described=False)
    about = host.layout.backups / "20260102T031000Z-nightly.json"
    about.mkdir()  # as root, we may read all files
    why = rf"cannot read it: chown deploy: {about.with_suffix('')}\.\*"
    with pytest.raises(Failed, match=why):
        backups.find(host.layout, "latest")
    add(host, 1)
    assert backups.find(host.layout, "latest").name == "20260101T031000Z-nightly"
    assert "20260102T031000Z-nightly.dump is left out" in capsys.readouterr().out
    data.list_backups(host, argparse.Namespace())
    assert "chown deploy: " in capsys.readouterr().out


def test_the_first_one_needs_the_room_of_the_database(
    server: tuple[Host, Played], monkeypatch: pytest.MonkeyPatch
) -> None:
    host, played = server
    free = 71 << 20  # 72 are needed: 64, and the 8 of the database
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(free))
    with pytest.raises(Failed, match="71 MiB free, and a back-up needs 72 MiB"):
        backups.make(host, None, "nightly")
    assert played.ran == []


def test_a_copy_goes_elsewhere_and_its_failure_is_said(tmp_path: Path) -> None:
    host, played = make_host(tmp_path, copy_to="backup@example.com:/srv")
    add(host, 1)
    backups.copy(host)
    dump = f"{host.layout.backups}/20260101T031000Z-nightly"
    assert played.full == [f"scp -B -q -p {dump}.dump {dump}.json backup@example.com:/srv"]
    played.failing = {"scp": "Permission denied"}
    with pytest.raises(Failed, match=r"is here, and was not copied to .*: Permission denied"):
        backups.copy(host)
