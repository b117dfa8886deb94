"""What `make bench` needs beside the development dependencies: bench/requirements.txt, and the
environment of the servers that it measures."""

import importlib.util
from collections.abc import Iterable
from pathlib import Path

from bench.variants import PYTHON

# By what is imported.
PACKAGES = (
    "dramatiq",
    # sample
    *("asyncpg", "django", "fastapi", "flask_jwt_extended", "flask_limiter", "flask_sqlalchemy"),
    *("flask_talisman", "prometheus_flask_exporter", "pythonjsonlogger", "rest_framework"),
    "uvicorn",
    # end of sample
)
INSTALL = "make .venv/.bench"


def missing(packages: Iterable[str] = PACKAGES, python: Path = PYTHON) -> list[str]:
    found = [name for name in packages if importlib.util.find_spec(name) is None]
    return found if python.exists() else [*found, str(python)]
