"""gunicorn's settings, read by `gunicorn service.wsgi:app` and `python -m service web`."""

import gc
import os
import shutil
import signal
import sys

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from service import logs, ports, reloading, reports, server
from service.sources import SettingsError

gc.disable()  # until all is imported: it would look at it again and again, for 0.1 s of the start

try:
    settings = reloading.load()
except SettingsError as error:
    sys.exit(f"{error}")

logs.configure(settings)

# RAM where there is some: a heartbeat on a slow disk is what makes workers "time out".
_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


_host = ports.every_address()
bind = f"[{_host}]:{settings.port}" if ":" in _host else f"{_host}:{settings.port}"
worker_class = "service.server.Worker"
logger_class = "service.server.Logger"
workers = server.processes(settings).count
threads = settings.web_threads

# The code is imported once, before the fork: start-up costs one import, memory is shared, and
# READY=1 (systemd) means what it says. So a SIGHUP does not load new code: a release is a new
# master (deploy/), never a SIGHUP, which reads secrets again. With auto-reload it must be off.
preload_app = settings.app_env != "development"
reload = settings.app_env == "development"

# Longer than what stands in front keeps its idle connections (nginx 60 s, AWS ALB 60 s, Heroku
# 90 s: set WEB_KEEPALIVE=95s there), so that it is never us who close one that is being used.
# An idle connection takes one of these places, so there must be many: with few, clients that find
# none wait for seconds (docs/serving.md has the figures).
worker_connections = 1000
keepalive = int(settings.web_keepalive.total_seconds())
graceful_timeout = int(settings.shutdown_grace.total_seconds())
timeout = 30  # a worker whose main thread hangs so long is killed; requests: server.READ_LIMIT

# What a proxy says is read in one place, by PROXY_HOPS: gunicorn would take X-Forwarded-Proto
# from anybody on this machine, and look at the list of addresses in each request.
forwarded_allow_ips = ""

worker_tmp_dir = _memory
control_socket_disable = True  # it lies in $HOME, and a second master steals it
# `max_requests` stays off: it hides leaks, and restarts workers of a busy service all day.

# One folder for each master: this file is read again at a SIGHUP, and by the successor of SIGUSR2.
_metrics = server.metrics_folder(os.getpid(), _memory)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _metrics


def on_starting(arbiter: Arbiter) -> None:
    try:
        server.refuse_taken_ports(arbiter)
    except ports.Refused as refusal:
        on_exit(arbiter)
        sys.exit(str(refusal))


def when_ready(arbiter: Arbiter) -> None:
    _settle(arbiter)
    if preload_app:  # else workers are to import what has changed by then
        from service import metrics  # not before its folder is known

        metrics.started("web")


def on_reload(arbiter: Arbiter) -> None:
    """The workers of a SIGHUP, which are forked after this, get an app with what was read again."""
    reloading.renew_app(arbiter.app)
    _settle(arbiter)


def _settle(arbiter: Arbiter) -> None:
    """What was imported before the fork stays for good: leave it out of every collection."""
    gc.freeze()
    gc.enable()
    reloading.keep_secrets(arbiter.app.callable)


def pre_fork(arbiter: Arbiter, worker: server.Worker) -> None:
    worker.slot = server.free_slot(arbiter.WORKERS.values())
    reloading.renew_secrets(arbiter.app.callable)


def post_fork(_: Arbiter, worker: server.Worker) -> None:
    """Until it has handlers of its own, a worker has its master's, and would lose a SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if preload_app:
        from service import metrics  # not before its folder is known

        metrics.write_as(worker.metrics)


def post_worker_init(worker: Worker) -> None:
    reloading.keep_secrets(worker.wsgi)
    if settings.ops_token:
        from service import presence  # for who has an operator's page

        presence.keep("web", settings)


def child_exit(_: Arbiter, worker: server.Worker) -> None:
    from prometheus_client import multiprocess  # not before its folder is known

    multiprocess.mark_process_dead(worker.metrics if preload_app else worker.pid)


def worker_exit(_: Arbiter, __: Worker) -> None:
    reports.flush()


def on_exit(_: Arbiter) -> None:
    shutil.rmtree(_metrics, ignore_errors=True)
