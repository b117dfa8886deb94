"""How Alembic reaches the database and the models. Run by `python -m service migrate`."""

from alembic import context
from sqlalchemy import Connection, NullPool, create_engine

from service import effects, recurring
from service.app import FEATURES
from service.db import Model
from service.settings import Settings

TABLES = (FEATURES, effects, recurring)  # importing them puts their tables into the metadata


def run(connection: Connection) -> None:
    context.configure(
        connection=connection, target_metadata=Model.metadata, transaction_per_migration=True
    )
    with context.begin_transaction():
        context.run_migrations()


if (given := context.config.attributes.get("connection")) is not None:
    run(given)
else:  # the alembic command by hand
    with create_engine(
        Settings.load().database_url.get_secret_value(), poolclass=NullPool
    ).connect() as opened:
        run(opened)
