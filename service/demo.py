"""Demo data for development: what `python -m service seed` writes, once."""

from flask import Flask

from service.app import FEATURES
from service.db import session
from service.settings import Settings
from service.users.demo import EMAIL, PASSWORD

__all__ = ["EMAIL", "PASSWORD", "seed"]


class Refused(Exception):
    """Nothing was written; the message is one line for who tried."""


def seed(app: Flask, settings: Settings) -> None:
    """Run each feature's `seed`. Raises Refused in production: the passwords are known."""
    if settings.is_production:
        raise Refused("demo data has known passwords: set APP_ENV=development to have it")
    with app.app_context():
        for feature in FEATURES:
            if demo := getattr(feature, "seed", None):
                demo()
        session.commit()
