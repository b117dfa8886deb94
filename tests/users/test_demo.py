"""Demo accounts: there once, whoever else is."""

from flask import Flask
from sqlalchemy import func, select

from service.db import session
from service.users import seed
from service.users.demo import EMAIL
from service.users.models import User
from tests.people import Person


def test_the_demo_accounts_come_beside_others_and_once(app: Flask, charlie: Person) -> None:
    with app.app_context():
        seed()
        seed()
        found = session.scalars(select(User.email)).all()
        assert EMAIL in found
        assert session.scalar(select(func.count()).select_from(User)) == len(set(found))
