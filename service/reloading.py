"""SIGHUP to gunicorn's master: settings and secrets are read again, for the workers to come.

Nothing to change here. What cannot be read leaves what was read last in force.
"""

import logging
import sys
from typing import Any

from flask import Flask

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


def keep_secrets(app: Any) -> None:
    """In a worker: read them again from time to time. An app that could not be made has none."""
    if isinstance(app, Flask) and (rotation := app.extensions["settings"].rotation):
        rotation.keep()
