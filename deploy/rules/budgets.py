"""Budgets: the time to stop and to answer, and the connections of the database."""

from collections.abc import Iterator

from deploy.manifest import Finding, Manifest, Platform, Process, Stage
from deploy.rules.written import every_process, number, place_of, seconds

MARGIN = 3  # seconds between our own end and the platform's
# What a request may take by our own limits: the statement's time-out, and 5 s to connect and wait.
PATIENCE = 5


def time(manifest: Manifest) -> Iterator[Finding]:
    """Who is told to stop has the time; connections and requests end on our side last, or first."""
    platform = manifest.platform
    for stage, process in every_process(manifest):
        if process.kind == "migrate":
            continue
        has = process.grace.value if process.grace else platform.grace
        place = process.grace.place if process.grace else process.place
        needs = process.drain + seconds(process, "shutdown_grace") + MARGIN
        if needs > has:
            yield Finding(
                "time",
                place,
                f"{process.kind} of {stage.name} needs {needs:g} s to stop, and has {has:g}",
                "give it more, or lower SHUTDOWN_GRACE",
            )
        if has > platform.grace_most:
            yield Finding(
                "time",
                place,
                f"{has:g} s to stop are more than {platform.name} gives",
                f"{platform.grace_most:g} at most",
            )
        if process.kind == "web":
            yield from _of_the_proxy(manifest, process)


def _of_the_proxy(manifest: Manifest, process: Process) -> Iterator[Finding]:
    platform = manifest.platform
    keeps = seconds(process, "web_keepalive")
    if platform.idle is not None and keeps <= platform.idle:
        yield Finding(
            "time",
            place_of(process, "WEB_KEEPALIVE"),
            f"web closes idle connections after {keeps:g} s, the proxy after {platform.idle:g}:"
            " requests would meet a closed one",
            f"WEB_KEEPALIVE={platform.idle + 5:g}s",
        )
    takes = seconds_of_a_request(process)
    if platform.answers_within is not None and takes > platform.answers_within:
        yield Finding(
            "time",
            place_of(process, "DATABASE_STATEMENT_TIMEOUT"),
            f"a request may take {takes:g} s, the proxy waits {platform.answers_within:g}",
            "lower DATABASE_STATEMENT_TIMEOUT",
        )


def seconds_of_a_request(process: Process) -> float:
    """What one may take by our own limits."""
    return seconds(process, "database_statement_timeout") + PATIENCE


def connections(manifest: Manifest) -> Iterator[Finding]:
    """All processes of a stage, web twice while a release replaces it, fit into the database."""
    allowed = manifest.platform.connections
    for stage in manifest.stages:
        if not {"web", "worker", "scheduler"} <= stage.processes.keys():
            continue
        if (opened := opened_by(stage, manifest.platform)) > allowed:
            yield Finding(
                "connections",
                stage.processes["web"].place,
                f"{stage.name} may open {opened} connections, its database allows {allowed}",
                "lower DATABASE_POOL_MAX, WEB_CONCURRENCY or the instances, or take a larger one",
            )


def opened_by(stage: Stage, platform: Platform) -> int:
    """The most connections that web, worker and scheduler of a stage, which are there, open."""
    opened = 2 * _most(stage.processes["scheduler"]) + 2  # and migrate while it runs
    webs = 2 if platform.overlaps else 1
    opened += webs * _most(stage.processes["web"]) * _of_web(stage.processes["web"])
    worker = stage.processes["worker"]
    return opened + _most(worker) * (2 * (number(worker, "worker_concurrency") or 2) + 1)


def _most(process: Process) -> int:
    return int(process.instances.value) if process.instances else 1


def _of_web(process: Process) -> int:
    most = number(process, "database_pool_max") or 20
    return (number(process, "web_concurrency") or 2) * (most + 1)
