"""Traffic: web is asked what it is to be asked, gets its requests, and knows whose they are."""

from collections.abc import Iterator

from deploy.manifest import Finding, Manifest
from deploy.rules.commands import wrong_check
from deploy.rules.written import every_process, place_of
from service.settings import Settings

READY, LIVE = "/health/ready", "/health/live"


def health(manifest: Manifest) -> Iterator[Finding]:
    """web is asked whether it is ready, and is never ended for a database that is down; a command
    that says whether a process is well is one."""
    for stage, process in every_process(manifest):
        for check in process.checks:
            if problem := wrong_check(str(check.value), process.kind):
                yield Finding(
                    "health",
                    check.place,
                    f"{process.kind} of {stage.name}: {problem}: it would be ended for ever",
                    f"python -m service healthcheck {process.kind}",
                )
        if process.kind != "web":
            continue
        asked = [probe for probe in process.probes if not probe.stops]
        if not asked and manifest.platform.asks:
            yield Finding(
                "health", process.place, f"web of {stage.name} is not asked", f"ask {READY}"
            )
        for probe in process.probes:
            wanted = LIVE if probe.stops else READY
            if probe.path != wanted:
                why = (
                    "web would be started again because the database is down"
                    if probe.stops
                    else "it would get requests before it can answer them"
                )
                yield Finding(
                    "health", probe.place, f"{probe.path} is asked: {why}", f"ask {wanted}"
                )


def port(manifest: Manifest) -> Iterator[Finding]:
    """Requests are sent where web listens."""
    default = str(Settings.model_fields["port"].default)
    for stage, process in every_process(manifest):
        if process.kind != "web" or process.port is None:
            continue
        given = process.variables.get("PORT")
        sets = manifest.platform.sets
        listens = given.value if given else sets.get("PORT", default)
        for asked in (probe.port for probe in process.probes if probe.port is not None):
            if listens is not None and str(asked.value) != listens:
                yield Finding(
                    "port",
                    asked.place,
                    f"web of {stage.name} is asked at {asked.value}, and listens at {listens}",
                    "make them one",
                )
        if listens is not None and str(process.port.value) != listens:
            yield Finding(
                "port",
                process.port.place,
                f"requests of {stage.name} go to {process.port.value}, web listens at {listens}",
                "make them one",
            )


def proxies(manifest: Manifest) -> Iterator[Finding]:
    """The client's address is right: as many proxies are trusted as there are."""
    for stage, process in every_process(manifest):
        if process.kind != "web":
            continue
        given = process.variables.get("PROXY_HOPS")
        trusted = given.value if given else str(Settings.model_fields["proxy_hops"].default)
        if trusted != str(manifest.platform.hops):
            yield Finding(
                "proxies",
                place_of(process, "PROXY_HOPS"),
                f"web of {stage.name} trusts {trusted} proxies, and is behind"
                f" {manifest.platform.hops}",
                f"PROXY_HOPS={manifest.platform.hops}",
            )
