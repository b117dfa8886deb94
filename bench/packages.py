"""What `make bench` needs beside the development dependencies: bench/requirements.txt."""

import importlib.util
from collections.abc import Iterable

# By what is imported.
PACKAGES = (
    "dramatiq",
    # sample
    *("asyncpg", "django", "fastapi", "flask_jwt_extended", "flask_limiter", "flask_sqlalchemy"),
    *("flask_talisman", "prometheus_flask_exporter", "pythonjsonlogger", "rest_framework"),
    "uvicorn",
    # end of sample
)
INSTALL = "make bench (alone: .venv/bin/python -m pip install --no-deps -r bench/requirements.txt)"


def missing(packages: Iterable[str] = PACKAGES) -> list[str]:
    return [name for name in packages if importlib.util.find_spec(name) is None]
