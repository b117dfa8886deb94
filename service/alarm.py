"""Waiting that a signal ends at once, and that no signal handler can spoil.

Nothing to change here. (threading.Event must not be set in a handler: its lock is not re-entrant.)
"""

import os
import signal
from select import select


class Alarm:
    """Set by SIGTERM and SIGINT; other signals that have a handler only wake up who sleeps."""

    def __init__(self) -> None:
        self.rung = False
        self._listen, self._ring = os.pipe()
        for end in (self._listen, self._ring):
            os.set_blocking(end, False)

    def install(self) -> None:
        """From the main thread, of the process that waits."""
        signal.set_wakeup_fd(self._ring, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._set)

    def sleep(self, seconds: float) -> None:
        if select([self._listen], [], [], seconds)[0]:
            os.read(self._listen, 1024)

    def _set(self, *_: object) -> None:
        self.rung = True
