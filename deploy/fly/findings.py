"""What only a fly.toml can have wrong: who gets requests, and what a release loses."""

from collections.abc import Iterator
from math import ceil
from os.path import normpath
from pathlib import Path

from deploy.manifest import Finding
from deploy.reading import Node
from deploy.shell import Failed
from service.settings import Settings


def look(file: Node, stage: str) -> Iterator[Finding]:
    """Raises Failed for what should be a number, and is none."""
    if not file.text("app"):
        yield Finding(
            "references",
            (file.get("app") or file).place,
            f"{stage} has no app: a deploy would be that of another",
            'app = "…", each stage its own',
        )
    yield from _built(file, stage)
    yield from _served(file, stage)
    yield from _connected(file, stage)
    yield from _strategy(file, stage)
    stops = file.get("http_service", "auto_stop_machines")
    if stops and stops.value not in ("off", False):
        yield Finding(
            "release",
            stops.place,
            f"machines of web of {stage} are stopped when few ask, and started when one waits",
            'auto_stop_machines = "off"',
        )
    for each in file.each("restart"):
        if each.text("policy") == "never":
            yield Finding(
                "release",
                (each.get("policy") or each).place,
                f"what ends in {stage} is not started again",
                'policy = "always"',
            )


def _built(file: Node, stage: str) -> Iterator[Finding]:
    """Of the Dockerfile at the root; its path begins where the fly.toml is. Source: flyctl's
    internal/command/deploy/deploy_build.go, resolveDockerfilePath."""
    for key, each in file.items("build"):
        if key == "dockerfile":
            right = normpath(Path(each.place.file).parent / str(each.value)) == "Dockerfile"
        else:
            right = key not in ("image", "builder", "buildpacks", "builtin")
        if not right:
            yield Finding(
                "references",
                each.place,
                f"{key} of {stage} is not the Dockerfile at the root, which is what is tested",
                "dockerfile = its path from the folder of this file",
            )


def _served(file: Node, stage: str) -> Iterator[Finding]:
    served = file.get("http_service", "processes") or file.get("http_service") or file
    names = [each.value for each in file.each("http_service", "processes")]
    if names != ["web"]:
        yield Finding(
            "processes",
            served.place,
            f"requests of {stage} go to {', '.join(map(str, names)) or 'nobody that is named'}",
            'http_service.processes = ["web"]',
        )
    for each in file.each("services"):
        yield Finding(
            "port",
            each.place,
            f"a service of {stage} beside http_service: nothing of it is looked at",
            "http_service has all that web needs",
        )


def _connected(file: Node, stage: str) -> Iterator[Finding]:
    """A check that only connects, which has no path."""
    listens = file.text("env", "PORT") or str(Settings.model_fields["port"].default)
    for name, each in file.items("checks"):
        asked = each.whole("port")
        if each.text("type") == "tcp" and asked and str(asked.value) != listens:
            yield Finding(
                "port",
                asked.place,
                f"{name} of {stage} connects to {asked.value}, and web listens at {listens}",
                "make them one",
            )


def _strategy(file: Node, stage: str) -> Iterator[Finding]:
    """A machine that is replaced is away for a while: another must be there in its place."""
    strategy = file.get("deploy", "strategy")
    said = "rolling" if strategy is None else str(strategy.value)
    place = (strategy or file.get("deploy") or file).place
    away = file.get("deploy", "max_unavailable")
    there = file.whole("http_service", "min_machines_running")
    machines = 1 if there is None else int(there.value)
    if said == "immediate":
        what = "all machines are replaced at once"
    elif said in ("rolling", "canary") and _away(away, machines) >= machines:
        what = (
            f"{said} takes all {machines} of web away at once"
            if machines > 1
            else f"{said} replaces the one machine of web"
        )
        place = away.place if away and machines > 1 else place
    else:
        return
    yield Finding(
        "release",
        place,
        f"{what} in {stage}: requests are lost",
        'strategy = "bluegreen"',
    )


def _away(given: Node | None, machines: int) -> int:
    """How many may be away: a number of them, or a part below 1, by default a third."""
    if given is None:
        return ceil(machines * 0.33)
    try:
        most = float(str(given.value))
        return ceil(machines * most) if most < 1 else int(most)
    except (ValueError, OverflowError):  # nan and inf are numbers in TOML
        raise Failed(f"{given.place}: {given.value} is no number of machines") from None
