"""What users would pick instead: small honest equivalents, each as its own pages say.

They do the same work on the same PostgreSQL: same table, same JSON, SQLAlchemy's pool as it comes,
as many processes. Do not tune one beyond what its pages say of production.
"""

import importlib.util
import sys

from bench.variants import GTHREAD, Variant, gunicorn

# What bench/requirements.txt brings, by what is imported.
PACKAGES = (
    *("asyncpg", "django", "dramatiq", "fastapi", "flask_jwt_extended", "flask_limiter"),
    *("flask_sqlalchemy", "flask_talisman", "prometheus_flask_exporter", "pythonjsonlogger"),
    *("rest_framework", "uvicorn"),
)
INSTALL = "make bench (or: .venv/bin/pip install --no-deps -r bench/requirements.txt)"


def missing() -> list[str]:
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def uvicorn(application: str) -> tuple[str, ...]:
    """As many processes; no line for each request, as gunicorn writes none."""
    return (
        *(sys.executable, "-m", "uvicorn", "--host", "127.0.0.1", "--port", "{port}"),
        *("--workers", "{processes}", "--no-access-log", application),
    )


def of(name: str, application: str, *, asgi: bool = False, **more: bool) -> Variant:
    application = f"bench.peers.{application}:app"
    if asgi:  # beside its processes runs multiprocessing's resource tracker
        return Variant(name, uvicorn(application), application, helpers=1, **more)
    return Variant(name, gunicorn(*GTHREAD, application), application, **more)


STACK = of("Flask + extensions", "flask_stack", signed_in=True, sentry=True)
PEERS = (
    STACK,
    of("FastAPI", "fastapi_sync", asgi=True),
    of("FastAPI async", "fastapi_async", asgi=True),
    of("Django + DRF", "django_site"),
)
