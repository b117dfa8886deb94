"""What of a release loses requests, or never ends: the services, and what scales web."""

from collections.abc import Iterator, Mapping

from deploy.manifest import LASTING, Finding, Kind, Process
from deploy.reading import Node, Place
from deploy.rules.budgets import seconds_of_a_request
from deploy.shell import Failed

Files = dict[str, Node]


def counts(files: Files, kind: Kind) -> tuple[Node, Node]:
    """The least and the most tasks. Raises Failed if one is not said: services are created with
    none, and stay so."""
    service = files[f"{kind}.service.json"]
    if kind != "web":
        return (count := _needed(service, "desiredCount")), count
    target = files["scaling-target.json"]
    least, set_back = _needed(target, "MinCapacity"), whole(service, "desiredCount")
    if set_back is not None and set_back.value < least.value:
        least = set_back
    return least, _needed(target, "MaxCapacity")


def _needed(file: Node, key: str) -> Node:
    found = whole(file, key)
    if found is None:
        raise Failed(f"{file.place}: {key} is not there, and no task would run")
    return found


def whole(file: Node, *path: str) -> Node | None:
    """AWS takes no number that is written as text. Raises Failed."""
    found = file.get(*path)
    if found is not None and type(found.value) is not int:
        raise Failed(f"{found.place}: {path[-1]} is {found.value!r}, and must be a whole number")
    return found


def look(
    stage: str, files: Files, processes: Mapping[Kind, Process], drain: Node | None
) -> Iterator[Finding]:
    for kind in LASTING:
        if kind in processes:
            yield from _deployment(stage, kind, files[f"{kind}.service.json"], processes[kind])
    web = processes.get("web")
    if web is None:
        return
    takes = seconds_of_a_request(web)
    if web.drain < takes:
        yield Finding(
            "release",
            drain.place if drain else web.place,
            f"a request of {stage} may take {takes:g} s, and has {web.drain:g} to end in",
            f"deregistration_delay.timeout_seconds: {takes + 10:g}",
        )
    if web.least and web.instances and web.least.value > web.instances.value:
        what = f"web of {stage} is at least {web.least.value}, and at most {web.instances.value}"
        yield Finding("release", web.instances.place, what, "MinCapacity is the lesser one")


def _deployment(stage: str, kind: Kind, service: Node, process: Process) -> Iterator[Finding]:
    says = service.get("deploymentConfiguration") or Node({}, service.place)
    stays, most = whole(says, "minimumHealthyPercent"), whole(says, "maximumPercent")
    percent = stays.value if stays else 100
    if percent < (100 if kind == "web" else 1):
        yield Finding(
            "release",
            stays.place if stays else says.place,
            f"a release of {kind} of {stage} leaves {percent} % of it",
            "minimumHealthyPercent: 100",
        )
    tasks = process.least.value if process.least else 1
    if tasks * (most.value if most else 200) // 100 <= -(-tasks * percent // 100):
        yield Finding(
            "release",
            most.place if most else says.place,
            f"{kind} of {stage} has no room for one more task: a release would never end",
            "maximumPercent: 200",
        )
    yield from _breaker(stage, kind, says)


def _breaker(stage: str, kind: Kind, says: Node) -> Iterator[Finding]:
    for key in ("enable", "rollback"):
        found = says.get("deploymentCircuitBreaker", key)
        if found is None or found.value is not True:
            place: Place = (found or says).place
            what = f"{kind} of {stage} stays with a version that does not start"
            yield Finding("release", place, what, f"deploymentCircuitBreaker: {key} is true")
