"""Secrets that are read again: when, by whom, and what it costs who waits for it."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from service.rotation import APART, FRESH, Renewable, Rotation, is_renewed
from service.settings import Settings
from service.sources import SettingsError
from tests.conftest import JWT_SECRET
from tests.waiting import until


class Source:
    """Where secrets are, and how often it was asked."""

    def __init__(self, **values: str) -> None:
        self.values: dict[str, str | None] = dict(values)
        self.problem: tuple[str, str] | None = None
        self.seconds = 0.0
        self.asked = 0

    def read(self) -> dict[str, SecretStr | None]:
        self.asked += 1
        time.sleep(self.seconds)
        if self.problem:
            raise SettingsError([self.problem])
        return {name: value and SecretStr(value) for name, value in self.values.items()}  # type: ignore[misc]


@pytest.fixture
def source() -> Source:
    return Source(database_url="first")


@pytest.fixture
def make(source: Source) -> Iterator[Callable[..., Renewable]]:
    """The secret of a process that was started a while ago."""
    made = []

    def of_seconds(every: float | None = None) -> Renewable:
        first = {name: SecretStr(value or "") for name, value in source.values.items()}
        period = None if every is None else timedelta(seconds=every)
        rotation = Rotation(first, source.read, period)
        time.sleep(APART)
        if every is not None:
            rotation.keep()
        made.append(rotation)
        return rotation.secrets["database_url"]

    yield of_seconds
    for rotation in made:
        rotation.close()
    until(lambda: not any(thread.name == "rotation" for thread in threading.enumerate()))


def test_who_was_refused_reads_again_and_finds_another(
    source: Source, make: Callable[..., Renewable]
) -> None:
    secret = make()
    source.values["database_url"] = "second"
    assert is_renewed(secret, "first")
    assert secret.get_secret_value() == "second"
    assert is_renewed(secret, "first")  # another thread has done it by then
    assert source.asked == 1


def test_who_was_refused_with_the_newest_is_told_so(
    source: Source, make: Callable[..., Renewable], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = make()
    monkeypatch.setattr("service.rotation.APART", 3600.0)  # longer than this may take
    secret._rotation._began_at -= 3600
    for _ in range(20):
        assert not is_renewed(secret, "first")
    assert source.asked == 1  # and the store is not asked by each


def test_a_secret_of_the_environment_is_what_it_is() -> None:
    assert not is_renewed(SecretStr("first"), "first")


def test_who_waits_for_it_waits_so_long_and_no_longer(
    source: Source, make: Callable[..., Renewable]
) -> None:
    secret = make()
    source.seconds, source.values["database_url"] = 2, "second"
    began = time.monotonic()
    assert not is_renewed(secret, "first", patience=0.1)
    assert time.monotonic() - began < 1.5
    until(lambda: secret.get_secret_value() == "second")


def test_all_who_are_refused_at_once_wait_for_one_reading(
    source: Source, make: Callable[..., Renewable]
) -> None:
    secret, found = make(), []
    source.seconds, source.values["database_url"] = 0.2, "second"
    threads = [
        threading.Thread(target=lambda: found.append(is_renewed(secret, "first"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8
    assert source.asked == 1


def test_what_cannot_be_read_leaves_the_last_one_in_force(
    source: Source, make: Callable[..., Renewable], caplog: pytest.LogCaptureFixture
) -> None:
    secret = make()
    source.problem = ("SECRETS_FROM", "is down")
    assert not is_renewed(secret, "first")
    assert secret.get_secret_value() == "first"
    assert "the last ones stay in force: SECRETS_FROM is down" in caplog.text


def test_a_secret_that_is_gone_from_the_store_stays_until_the_next_start(
    source: Source, make: Callable[..., Renewable]
) -> None:
    secret = make()
    source.values["database_url"] = None
    assert not is_renewed(secret, "first")
    assert secret.get_secret_value() == "first"


def test_they_are_read_again_when_it_is_time(
    source: Source, make: Callable[..., Renewable]
) -> None:
    secret = make(every=0.3)
    source.values["database_url"] = "second"
    until(lambda: secret.get_secret_value() == "second", seconds=5)
    until(lambda: source.asked >= 3, seconds=5)


def test_a_bell_has_them_read_at_once(
    source: Source, make: Callable[..., Renewable], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    secret = make(every=3600)
    source.values["database_url"] = "second"
    secret._rotation.ring()
    until(lambda: secret.get_secret_value() == "second", seconds=5)
    until(lambda: "secrets have changed: DATABASE_URL" in caplog.text)
    assert "second" not in caplog.text


def test_a_bell_that_rings_amid_a_reading_has_another_begun(
    source: Source, make: Callable[..., Renewable]
) -> None:
    """What is being read may be older than what the bell was rung for."""
    secret = make(every=3600)
    source.seconds = 0.3
    secret._rotation.ring()
    until(lambda: source.asked == 1)
    source.values["database_url"] = "second"  # when the values of that reading are on their way
    secret._rotation.ring()
    until(lambda: source.asked == 2, seconds=5)
    until(lambda: secret.get_secret_value() == "second", seconds=5)


def long_ago(rotation: Rotation) -> None:
    rotation._began_at = rotation._ended_at = time.monotonic() - FRESH


def test_what_is_forked_gets_the_newest(source: Source, make: Callable[..., Renewable]) -> None:
    secret = make()
    source.values["database_url"] = "second"
    assert secret._rotation.read_for_fork(5)
    assert source.asked == 0  # it was made a moment ago
    long_ago(secret._rotation)
    assert secret._rotation.read_for_fork(5)
    assert secret.get_secret_value() == "second"
    assert secret._rotation.read_for_fork(5)
    assert source.asked == 1  # of many forks at once, the first one asks


def test_who_forks_is_told_that_there_is_a_thread(
    source: Source, make: Callable[..., Renewable]
) -> None:
    rotation = make()._rotation
    source.seconds = 2
    long_ago(rotation)
    assert not rotation.read_for_fork(0.1)
    assert rotation.read_for_fork(30)
    assert source.asked == 1


def test_a_store_that_is_down_keeps_nobody_from_a_fork_for_long(
    source: Source, make: Callable[..., Renewable]
) -> None:
    rotation = make()._rotation
    source.problem = ("SECRETS_FROM", "is down")
    long_ago(rotation)
    for _ in range(20):
        assert rotation.read_for_fork(5)
    assert source.asked == 1


def test_a_lock_that_a_thread_held_at_the_fork_holds_up_nobody(
    source: Source, make: Callable[..., Renewable]
) -> None:
    secret = make()
    source.values["database_url"] = "second"
    secret._rotation._lock.acquire()
    secret._rotation.keep()
    secret._rotation.ring()
    until(lambda: secret.get_secret_value() == "second", seconds=5)


def test_who_has_no_thread_is_told_when_it_is_time(
    source: Source, make: Callable[..., Renewable]
) -> None:
    first = {"database_url": SecretStr("first")}
    rotation = Rotation(first, source.read, timedelta(seconds=FRESH))
    assert not rotation.is_due()
    long_ago(rotation)
    assert rotation.is_due()
    assert rotation.begin()
    assert not rotation.is_due()
    assert not Rotation(first, source.read, None).is_due()


def test_a_file_is_read_again_as_a_store_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("JWT_SECRET", "SECRETS_FROM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("APP_ENV", "test")
    monkeypatch.setenv("DATABASE_URL", "postgresql://h/d")
    monkeypatch.setenv("REDIS_URL", "redis://h/0")
    monkeypatch.setenv("JWT_SECRET_FILE", str(tmp_path / "secret"))
    (tmp_path / "secret").write_text(JWT_SECRET)
    found = Settings.load(tmp_path / ".env")
    (tmp_path / "secret").write_text("another secret, which is as long as it has to be")
    time.sleep(APART)
    assert is_renewed(found.jwt_secret, JWT_SECRET)
    copy = found.model_copy(update={"port": 1})
    assert copy.jwt_secret.get_secret_value().startswith("another secret")
    assert found.rotation is not None
    assert list(found.rotation.secrets) == ["jwt_secret"]


def test_what_comes_from_variables_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SECRETS_FROM", "JWT_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)
    values = {"APP_ENV": "test", "JWT_SECRET": JWT_SECRET}
    values |= {"DATABASE_URL": "postgresql://h/d", "REDIS_URL": "redis://h/0"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert Settings.load(tmp_path / ".env").rotation is None
