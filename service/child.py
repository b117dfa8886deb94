"""A process of the worker: how its parent starts and ends it, and what it does itself.

Nothing to change here; worker.py has the parent.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from flask import Flask
from prometheus_client import multiprocess

from service import launcher, metrics, reports
from service.board import Slot
from service.consumer import Consumer
from service.environment import Environment

log = structlog.get_logger()

LONGEST_PAUSE = 10.0  # seconds before a child that keeps dying is started again


@dataclass
class Child:
    """A process that runs jobs, or the one that will be started in its place."""

    number: int
    slot: Slot
    consumer: Consumer
    pid: int = 0
    started: float = 0.0  # monotonic seconds
    start_at: float = 0.0
    pause: float = 0.0
    stopped: bool = False  # by SIGSTOP
    killed_because: str = ""

    def start(
        self, app: Flask, consumer: Consumer, settings: Environment, hung_up: Callable[[], bool]
    ) -> None:
        """Fork it, with a `consumer` of its own. `hung_up` tells it of a SIGHUP that found its
        parent's handler, in it. Raises OSError where there is no room for a process."""
        now = time.monotonic()
        self.start_at = now + LONGEST_PAUSE  # if this fails
        self.consumer = consumer
        self.slot.end()
        self.started, self.stopped, self.killed_because = now, False, ""
        sys.stdout.flush()
        parent = os.getpid()
        if pid := os.fork():
            self.pid = pid
            return
        code = 1
        try:  # in the child, which must not get past this
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # Nobody renews our leases without a parent, or ends a job that hangs.
            launcher.die_with(parent, signal.SIGKILL)
            reports.begin_anew()
            metrics.write_as(self._metrics)
            if rotation := settings.rotation:
                rotation.keep()
                signal.signal(signal.SIGHUP, rotation.ring)
                if hung_up():
                    rotation.ring()
            consumer.run(self.slot)
            code = 0
        except BaseException:
            log.exception("worker process failed")
        finally:
            with contextlib.suppress(BaseException):
                app.extensions["handover"].close()
                reports.flush()
                if tracer := app.extensions["tracer"]:
                    tracer.close()
            os._exit(code)

    def reap(self) -> int | None:
        """Its exit code once it has ended, negative for a signal; then it is owed a start."""
        while self.pid:
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            if not pid:
                return None
            if os.WIFSTOPPED(status) or os.WIFCONTINUED(status):
                self.stopped = os.WIFSTOPPED(status)
                continue
            code = os.waitstatus_to_exitcode(status)
            self._ended(code)
            return code
        return None

    def _ended(self, code: int) -> None:
        multiprocess.mark_process_dead(self._metrics)  # type: ignore[no-untyped-call]
        self.pid = 0
        now = time.monotonic()
        lived = now - self.started
        self.pause = 0 if lived > LONGEST_PAUSE else min(max(self.pause * 2, 0.1), LONGEST_PAUSE)
        self.start_at = now + (self.pause if code else 0)

    def send_signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    @property
    def _metrics(self) -> str:
        """Whose the files of its metrics are: its successors go on with them, or they would pile
        up."""
        return f"child-{self.number}"
