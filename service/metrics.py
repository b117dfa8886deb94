"""Metrics for Prometheus, right across the processes of one server.

Add a metric: a constant here, used where the thing happens. Names follow
https://prometheus.io/docs/practices/naming/.
"""

import os
import time
from pathlib import Path

from flask import Flask, Response, abort, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector

from service import vitals
from service.errors import Unauthorized
from service.settings import Settings
from service.tokens import is_bearer

# Each change of a metric looks whether the process has forked, by a system call that costs as
# much as the change: the pid is kept, and a fork says so itself.
_pid: int | str = os.getpid()


def write_as(process: int | str) -> None:
    """Have this process write into files of this name, so that one after the other may do so."""
    global _pid
    _pid = process


os.register_at_fork(after_in_child=lambda: write_as(os.getpid()))
if values.ValueClass is not values.MutexValue:  # where there is PROMETHEUS_MULTIPROC_DIR
    values.ValueClass = values.MultiProcessValue(lambda: _pid)  # type: ignore[no-untyped-call]

REQUESTS = Counter(
    "http_requests",
    "Requests answered, by the class of their status.",
    ["method", "route", "status"],
)
LATENCY = Histogram(
    "http_request_duration_seconds",
    "From the request's head to the response's first byte.",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_FLIGHT = Gauge(
    "http_requests_in_flight", "Requests being answered.", multiprocess_mode="livesum"
)
POOL_IN_USE = Gauge(
    "database_pool_in_use", "Connections taken from the pools.", multiprocess_mode="livesum"
)
POOL_MAX = Gauge(
    "database_pool_max",
    "The most connections the pools open, of processes that have opened any.",
    multiprocess_mode="livesum",
)
POOL_WAIT = Counter("database_pool_wait_seconds", "Time spent waiting for a connection.")
LIMITED = Counter("rate_limited_requests", "Requests refused with 429.", ["rule"])
LIMITER_FALLBACKS = Counter(
    "rate_limiter_fallbacks", "Requests whose limit was not counted in Redis.", ["rule"]
)
JOB_SECONDS = Histogram(
    "job_duration_seconds",
    "From the begin of an attempt to its end.",
    ["function"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 180, 600, 3600),
)
JOB_ATTEMPTS = Counter(
    "job_attempts",
    "Attempts at jobs that have ended: succeeded, retrying, failed.",
    ["function", "outcome"],
)
HAND_OVERS_MISSED = Counter(
    "job_hand_overs_missed", "Jobs that were left to the relay because Redis did not answer."
)
RELAYED = Counter(
    "jobs_relayed", "Jobs that the relay handed over: left to it, lost by Redis, or due again."
)
LEASES_EXPIRED = Counter("job_leases_expired", "Attempts whose worker was not heard of any more.")
RECURRED = Counter("recurring_jobs", "Recurring jobs that were enqueued.", ["function"])
LEADS = Gauge("scheduler_leads", "Whether this scheduler is the one that acts.")
SWEEP_SECONDS = Histogram(
    "scheduler_sweep_duration_seconds",
    "From the begin of a look at what is due to its end.",
    buckets=(0.005, 0.025, 0.1, 0.5, 1, 2.5, 10),
)
CHILDREN = Gauge(
    "worker_processes",
    "Processes that run jobs, by what they do.",
    ["state"],
    multiprocess_mode="livesum",
)
DEATHS = Counter("worker_process_deaths", "Processes of the worker that did not end by themselves.")
MISSED_REPLICA = Counter(
    "database_replica_fallbacks", "Reads that the primary answered, since the replica was down."
)
SPANS_LOST = Counter("trace_spans_lost", "Spans that the collector did not take, or not in time.")
STARTED = Gauge(
    "service_start_time_seconds",
    "Unix time at which a process of this kind began.",
    ["process"],
    multiprocess_mode="max",
)
STARTUP = Gauge(
    "service_startup_seconds", "From then until it served.", ["process"], multiprocess_mode="max"
)
BUILD_INFO = Gauge("build_info", "The running version.", ["version"], multiprocess_mode="max")

_children: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}


def observe(method: str, route: str, status: str, seconds: float) -> None:
    """Count a request. `status` is its status line. Children are kept: looking them up costs."""
    key = (method, route, status[0])
    if (found := _children.get(key)) is None:
        found = _children[key] = (
            REQUESTS.labels(method, route, f"{status[0]}xx"),
            LATENCY.labels(method, route),
        )
    found[0].inc()
    found[1].observe(seconds)


def registry() -> CollectorRegistry:
    """The metrics of this process, or of all that share PROMETHEUS_MULTIPROC_DIR."""
    found = CollectorRegistry()
    try:
        MultiProcessCollector(found)  # type: ignore[no-untyped-call]
    except ValueError:  # no such folder: this process is the only one
        return REGISTRY
    return found


def expose() -> bytes:
    """All of them as text."""
    return generate_latest(registry())


def started(process: str) -> None:
    """Say that this process serves from now on, and how long it took to come to that."""
    age = _age()
    STARTED.labels(process).set(time.time() - age)
    STARTUP.labels(process).set(age)


def _age() -> float:
    """Seconds since this process began; where there is no /proc, since this was imported."""
    try:
        stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return time.monotonic() - _imported
    ticks = int(stat[_START_TIME])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


_imported = time.monotonic()
_START_TIME = 19  # proc(5): the 22nd field, of which two come before the last parenthesis


def init_app(app: Flask, settings: Settings) -> None:
    token = settings.metrics_token
    BUILD_INFO.labels(settings.commit_sha).set(1)
    stores = vitals.make_registry(settings)

    @app.get("/metrics")
    def metrics() -> Response:
        if token is None and settings.is_production:
            abort(404)
        if not is_bearer(token, request.headers.get("Authorization", "")):
            raise Unauthorized("The metrics need their token: Authorization: Bearer.")
        return Response(expose() + vitals.expose(stores), content_type=CONTENT_TYPE_LATEST)
