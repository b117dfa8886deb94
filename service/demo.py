"""Demo data for development: what `python -m service seed` writes, once."""

from flask import Flask

from service.app import FEATURES
from service.db import session
from service.settings import Settings
from service.users.demo import EMAIL, PASSWORD

__all__ = ["EMAIL", "PASSWORD", "seed"]


def seed(app: Flask, settings: Settings) -> None:
    """Run each feature's `seed`. Raises RuntimeError in production: the passwords are known."""
    if settings.is_production:
        raise RuntimeError("demo data has known passwords: not in production or staging")
    with app.app_context():
        for feature in FEATURES:
            if demo := getattr(feature, "seed", None):
                demo()
        session.commit()
