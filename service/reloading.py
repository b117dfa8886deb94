"""Settings and secrets in gunicorn's master: read again at a SIGHUP, and for the workers to come.

Nothing to change here. What cannot be read leaves what was read last in force.
"""

import logging
import sys
from typing import Any

from flask import Flask

from service.rotation import PATIENCE, Rotation
from service.settings import Settings
from service.sources import SettingsError

log = logging.getLogger(__name__)

_last: list[Settings] = []  # the master's; gunicorn.conf.py is run anew each time


def load() -> Settings:
    """Raises SettingsError when the master starts, and never later."""
    try:
        _last[:] = [Settings.load(fresh=bool(_last))]
    except SettingsError as error:
        if not _last:
            raise
        log.error("nothing is read again, the last settings stay in force: %s", error)
    return _last[0]


def renew_app(application: Any) -> None:
    """Make the app of gunicorn's application anew, of which forked workers are copies."""
    if (former := application.callable) is None:
        return  # without preload_app each worker makes its own
    application.callable = None
    sys.modules.pop(application.app_uri.partition(":")[0], None)
    try:
        application.wsgi()
    except Exception:  # whatever it is, there is an app that works
        log.exception("the app cannot be made anew, the last one stays in force")
        application.callable = former
    if application.callable is not former and (rotation := _rotation(former)):
        rotation.close()


def keep_secrets(app: Any) -> None:
    """Read them again from time to time: in a worker, and in the master, which else would give
    those of its start to a worker that it forks while there is no store."""
    if rotation := _rotation(app):
        rotation.keep()


def renew_secrets(app: Any) -> None:
    """Before a fork: what the next worker gets are the newest, as far as the store answers.

    The thread that keeps them waits on a pipe, and a reading that takes longer than we wait for it
    waits on a socket: neither holds what a worker needs.
    """
    if rotation := _rotation(app):
        rotation.read_for_fork(PATIENCE)


def _rotation(app: Any) -> Rotation | None:
    """None for an app that could not be made, or is made by each worker."""
    return app.extensions["settings"].rotation if isinstance(app, Flask) else None
