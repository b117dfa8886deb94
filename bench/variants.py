"""The servers under test. Add one: an entry in VARIANTS."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROCESSES, THREADS = 2, 4
# That of all servers, made by `make bench`: what is installed for development is not there. Of that
# libraries import what they find (structlog rich, PyJWT cryptography), for 80 ms of a start.
PYTHON = ROOT / ".venv" / "bench" / "bin" / "python"


@dataclass(frozen=True)
class Urls:
    """Where the things outside are."""

    database: str
    redis: str
    sentry: str
    collector: str = ""


@dataclass(frozen=True)
class Variant:
    """One server: how to start it, and what it may cost as ratios to the baseline, by cell.

    `{port}` in the command is replaced by the port to listen on, `{processes}` by their number; it
    runs in the repository. `wsgi` is the application for `bench profile`; who is `signed_in` gets a
    token in each request. `helpers` are processes beside the master and those that serve, if these
    are several; one that is `brief` is measured for its CPU only.
    """

    name: str
    command: tuple[str, ...]
    wsgi: str
    signed_in: bool = False
    sentry: bool = False
    traces: bool = False
    limits: Mapping[str, float] = field(default_factory=dict)
    processes: int = PROCESSES
    helpers: int = 0
    brief: bool = False

    @property
    def family(self) -> int:
        """How many processes it has: uvicorn alone needs no master for a single one."""
        return 1 if self.helpers and self.processes == 1 else 1 + self.processes + self.helpers

    def environment(self, urls: Urls, port: int) -> dict[str, str]:
        """Return the variables of its processes; the same names for every variant."""
        return {
            "PORT": str(port),
            "DATABASE_URL": urls.database,
            "REDIS_URL": urls.redis,
            "APP_ENV": "production",
            "JWT_SECRET": JWT_SECRET,
            "METRICS_TOKEN": METRICS_TOKEN,
            "WEB_CONCURRENCY": str(self.processes),
            "WEB_THREADS": str(THREADS),
            "RATE_LIMIT_DEFAULT": "100000000 per hour",
            **({"SENTRY_DSN": urls.sentry} if self.sentry else {}),
            **({"OTEL_EXPORTER_OTLP_ENDPOINT": urls.collector} if self.traces else {}),
        }


# One for all, so that one token serves every variant.
JWT_SECRET, METRICS_TOKEN = secrets.token_urlsafe(48), secrets.token_urlsafe(48)


def gunicorn(*arguments: str) -> tuple[str, ...]:
    """Return gunicorn with its defaults: without a file it would read the service's own."""
    return (
        *(str(PYTHON), "-m", "gunicorn", "--config", "/dev/null"),
        *("--bind", "127.0.0.1:{port}", "--workers", "{processes}", *arguments),
    )


GTHREAD = ("--worker-class", "gthread", "--threads", str(THREADS))
SERVICE = (str(PYTHON), "-m", "service", "web")

BASELINE = Variant("B", gunicorn(*GTHREAD, "bench.baseline:app"), "bench.baseline:app")
OURS = Variant(
    "ours",
    SERVICE,
    "service.wsgi:app",
    signed_in=True,
    limits={"read": 0.80, "list": 0.80, "insert": 0.80, "start": 1.5, "memory": 1.4},
)
VARIANTS = (
    BASELINE,
    OURS,
    Variant(
        "ours+sentry",
        SERVICE,
        "service.wsgi:app",
        signed_in=True,
        sentry=True,
        limits={"read": 1.0, "list": 1.0, "insert": 1.0},
        brief=True,
    ),
    # For information: every request and statement traced, and sent.
    Variant("ours+traces", SERVICE, "service.wsgi:app", signed_in=True, traces=True),
    # For information: the same application on the server line of gunicorn's quick start.
    Variant("B -w 2", gunicorn("bench.baseline:app"), "bench.baseline:app", brief=True),
)

# The control: B against itself shows the noise; a ratio far from 1.00 makes a run worthless.
CONTROL = (BASELINE, Variant("B again", BASELINE.command, BASELINE.wsgi))
