"""`make migration`: a revision of what the models have and the schema has not, for you to read.

The schema is that of a database made for it, so that nobody's own needs to be up to date.
"""

import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import NullPool, create_engine

from service.devservers import Postgres
from service.settings import ROOT


def write(message: str) -> None:
    """Add a file to migrations/versions. Raises ServerError, and what Alembic raises."""
    config = Config(toml_file=ROOT / "pyproject.toml")
    with tempfile.TemporaryDirectory(prefix="revision-") as name, Postgres(Path(name)) as server:
        url = server.url.replace("postgresql:", "postgresql+psycopg:")
        with create_engine(url, poolclass=NullPool).connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            command.revision(config, message, autogenerate=True)
