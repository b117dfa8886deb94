"""`python -m service scheduler`: the relay and the recurring jobs; of several, one acts.

Nothing to change here: a job recurs by its cron line (recurring.py).
"""

import gc
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import structlog
from flask import Flask
from redis import RedisError
from sqlalchemy.exc import DBAPIError

from service import exporter, metrics, presence, pulse, queue, recurring, relay, reports
from service.alarm import Alarm
from service.app import create_app
from service.db import Database
from service.health import SCHEDULER_LOCK
from service.leader import Leader
from service.redis import make_client
from service.settings import Settings

log = structlog.get_logger()

PAUSE = 1.0  # seconds between two sweeps
TICK_EVERY = 5.0  # seconds between two looks at the cron lines
REDIS_TIMEOUT = 5  # seconds: the lists of waiting ids may be long


class Scheduler:
    """Sweeps and ticks while it leads."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app = app
        self._database: Database = app.extensions["database"]
        self._client = make_client(settings, socket_timeout=REDIS_TIMEOUT)
        self._again_after = settings.outbox_recheck
        self._leader = Leader(settings, SCHEDULER_LOCK)
        self._led: bool | None = None  # not known yet
        self._ticked_at = float("-inf")
        self._alarm = Alarm()

    def run(self) -> int:
        """Work until SIGTERM or SIGINT; then 0."""
        self._alarm.install()
        names = [function.name for function in queue.recurring()]
        with pulse.beating("scheduler") as beat:
            log.info("scheduler started", recurring=names)
            metrics.started("scheduler")
            while not self._alarm.rung:
                beat()
                self._alarm.sleep(0 if self._step() else PAUSE)
        self._leader.resign()
        log.info("scheduler has stopped")
        return 0

    def _step(self) -> bool:
        """Do what is due if we lead; whether there is more to do at once."""
        busy = False
        with self._bearing():
            leads = self._leader.leads()
            if leads != self._led:
                log.info("scheduler leads" if leads else "scheduler waits: another one leads")
                self._led = leads
            metrics.LEADS.set(leads)
        if self._led:
            with self._bearing():
                busy = self._sweep()
            with self._bearing():
                self._tick()
        return busy

    @contextmanager
    def _bearing(self) -> Iterator[None]:
        """What goes wrong with one thing is said, and keeps nobody from the next."""
        try:
            yield
        except (psycopg.Error, DBAPIError) as error:
            self._led = None
            metrics.LEADS.set(0)
            reason = str(getattr(error, "orig", None) or error).strip()
            log.warning("the database does not answer", reason=reason)
        except RedisError as error:
            log.warning("Redis does not answer", reason=str(error))
        except Exception as error:
            log.exception("the scheduler failed at a step, and goes on")
            reports.capture(error, "scheduler")

    def _sweep(self) -> bool:
        with (
            metrics.SWEEP_SECONDS.time(),
            self._app.app_context(),
            self._database.session() as session,
        ):
            return relay.sweep(session, self._client, self._again_after) >= relay.BATCH

    def _tick(self) -> None:
        if (now := time.monotonic()) - self._ticked_at >= TICK_EVERY:
            with self._app.app_context(), self._database.session() as session:
                recurring.tick(session)
            self._ticked_at = now


def run(settings: Settings) -> int:
    app = create_app(settings, "scheduler")
    gc.freeze()
    gc.enable()
    exporter.serve_in_background(settings)
    presence.keep("scheduler", settings)
    if rotation := settings.rotation:
        rotation.keep()
        signal.signal(signal.SIGHUP, rotation.ring)
    return Scheduler(app, settings).run()
