"""What users would pick instead: small honest equivalents, each as its own pages say.

They do the same work on the same PostgreSQL: same table, same JSON, SQLAlchemy's pool as it comes,
as many processes. Do not tune one beyond what its pages say of production.
"""

from bench.variants import GTHREAD, PYTHON, Variant, gunicorn


def uvicorn(application: str) -> tuple[str, ...]:
    """As many processes; no line for each request, as gunicorn writes none."""
    return (
        *(str(PYTHON), "-m", "uvicorn", "--host", "127.0.0.1", "--port", "{port}"),
        *("--workers", "{processes}", "--no-access-log", application),
    )


def wsgi(name: str, module: str, signed_in: bool = False, sentry: bool = False) -> Variant:
    application = f"bench.peers.{module}:app"
    command = gunicorn(*GTHREAD, application)
    return Variant(name, command, application, signed_in=signed_in, sentry=sentry)


def asgi(name: str, module: str) -> Variant:
    """Beside its processes runs multiprocessing's resource tracker."""
    application = f"bench.peers.{module}:app"
    return Variant(name, uvicorn(application), application, helpers=1)


PEERS = (
    wsgi("Flask + extensions", "flask_stack", signed_in=True, sentry=True),
    asgi("FastAPI", "fastapi_sync"),
    asgi("FastAPI async", "fastapi_async"),
    wsgi("Django + DRF", "django_site"),
)
