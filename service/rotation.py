"""Secrets that are others later: read again from time to time, at a signal, or when refused.

Nothing to change here. What uses a secret asks for its value each time that it is used, and finds
the newest.
"""

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from select import select

from pydantic import SecretStr

from service.secretstore import BOUND
from service.sources import SettingsError

log = logging.getLogger(__name__)  # structlog costs 0.1 s, which health checks do not pay

APART = 0.25  # seconds from the begin of one reading to the next, at least
PATIENCE = 3.0  # seconds that who was refused, or forks, waits for another secret
FRESH = 5.0  # seconds for which who forks takes what was read for the newest

Read = Callable[[], Mapping[str, SecretStr | None]]


class Renewable(SecretStr):
    """A secret of a process, whose value is the newest that was read."""

    def __init__(self, value: str, rotation: "Rotation") -> None:
        super().__init__(value)
        self._rotation = rotation

    def renew(self, value: str) -> None:
        self._secret_value = value

    def read_again(self, patience: float) -> None:
        self._rotation.read_again(patience)


def is_renewed(secret: SecretStr, used: str, patience: float = PATIENCE) -> bool:
    """Whether it is another one by now than that which was `used`, and refused.

    It is read again if it is not, where it can be: for so many seconds at most.
    """
    if not isinstance(secret, Renewable):
        return False
    if secret.get_secret_value() == used:
        secret.read_again(patience)
    return secret.get_secret_value() != used


class Rotation:
    """The secrets of a process that came from files or a store, and how they are read again."""

    def __init__(
        self, secrets: Mapping[str, SecretStr], read: Read, every: timedelta | None
    ) -> None:
        self.secrets = {
            name: Renewable(secret.get_secret_value(), self) for name, secret in secrets.items()
        }
        self._read = read
        self._every = every.total_seconds() if every else None
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None
        self._began_at = self._ended_at = time.monotonic()  # the last reading
        self._bell: int | None = None

    def keep(self) -> None:
        """Read them again from time to time, in a thread of this process: after its fork, at which
        a thread of its parent may have held the lock."""
        self.close()
        self._lock = threading.Lock()
        listen, self._bell = os.pipe()
        os.set_blocking(self._bell, False)
        threading.Thread(target=self._keep, args=(listen,), name="rotation", daemon=True).start()

    def ring(self, *_: object) -> None:
        """Have that thread read them now: what a signal's handler may do, and no more."""
        if self._bell is not None:
            os.write(self._bell, b"!")

    def close(self) -> None:
        """End that thread, in a process that goes on without it, or has but its parent's bell."""
        if self._bell is not None:
            os.close(self._bell)
            self._bell = None

    def read_again(self, patience: float = BOUND) -> None:
        """Read them again, unless that was just done, and wait for it so many seconds at most;
        several who want it wait for the same."""
        self.begin()
        if reader := self._reader:
            reader.join(patience)

    def begin(self) -> bool:
        """Have them read again; whether a reading began, for not while one is under way or has
        just begun. In a thread of its own, since who asks has less time than a store may take."""
        with self._lock:
            if self._is_reading() or time.monotonic() - self._began_at < APART:
                return False
            self._began_at = time.monotonic()
            self._reader = threading.Thread(target=self._renew, daemon=True)
            self._reader.start()
            return True

    def is_due(self) -> bool:
        """Whether it is time, for who has no thread that keeps them."""
        return self._pause() == 0

    def read_for_fork(self, patience: float) -> bool:
        """Have a fork get the newest, of which it gets a copy: read them again, unless that was
        done a moment ago. False if so many seconds were not enough, and a thread reads still."""
        if time.monotonic() - self._ended_at >= FRESH or self._is_reading():
            self.read_again(patience)
        return not self._is_reading()

    def read_anew(self) -> None:
        """Read them again by a reading that begins from now on: who changed them and then says so
        must find them changed, though one is under way or was just done."""
        asked_at = time.monotonic()
        while self._began_at < asked_at:
            time.sleep(max(0.0, self._began_at + APART - time.monotonic()))
            self.read_again()

    def _is_reading(self) -> bool:
        return self._reader is not None and self._reader.is_alive()

    def _keep(self, listen: int) -> None:
        while True:
            if select([listen], [], [], self._pause())[0] and not os.read(listen, 1024):
                os.close(listen)
                return
            self.read_anew()

    def _pause(self) -> float | None:
        """Seconds until it is due; less for some, or all processes would ask at once."""
        if self._every is None:
            return None
        due = self._every * random.uniform(0.8, 1)  # noqa: S311
        return max(0.0, self._began_at + due - time.monotonic())

    def _renew(self) -> None:
        try:
            self._take_up()
        finally:
            self._ended_at = time.monotonic()

    def _take_up(self) -> None:
        try:
            found = self._read()
        except SettingsError as error:
            reason = "; ".join(" ".join(each) for each in error.problems)
            log.warning("secrets are not read again, the last ones stay in force: %s", reason)
            return
        changed = []
        for name, secret in self.secrets.items():
            newer = found[name]
            if newer is not None and newer.get_secret_value() != secret.get_secret_value():
                secret.renew(newer.get_secret_value())
                changed.append(name.upper())
        if changed:
            log.info("secrets have changed: %s", ", ".join(changed))
