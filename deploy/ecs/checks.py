"""The containers' own checks, the load balancer's, and the ports of both: who fails is replaced."""

import re
import shlex
from collections.abc import Iterator

from deploy.manifest import Finding, Kind, Probe
from deploy.reading import Node
from deploy.shell import Failed

Files = dict[str, Node]
ANSWERS = 3  # seconds: /health/ready answers within 2, whatever is down


def command(container: Node) -> Node | None:
    """As one types it; None if there is none. Raises Failed for what ECS refuses."""
    found = container.get("healthCheck", "command")
    form, *words = [str(word.value) for word in found.each()] if found else ["NONE"]
    if found is None or form == "NONE":
        return None
    if form not in ("CMD", "CMD-SHELL"):
        raise Failed(f"{found.place}: a check begins with CMD or CMD-SHELL, not with {form}")
    if form == "CMD":
        return Node(shlex.join(words), found.place)
    # Docker knows 0 and 1 only, so people write this behind a command.
    return Node(re.sub(r"\s*\|\|\s*exit 1\s*$", "", " ".join(words)), found.place)


def alive(container: Node) -> tuple[Probe, ...]:
    """What web's own check asks."""
    said = command(container)
    if said is None:
        return ()
    # `healthcheck web` asks whether it is ready, and is no check of whether it lives.
    own = "service healthcheck" in said.value
    path = "/health/ready" if own else next(iter(re.findall(r"/health[\w/]*", said.value)), None)
    if path is None:
        return ()
    asked = re.search(r"(?:localhost|127\.0\.0\.1)\W{1,8}(\d+)", said.value)
    port = None if own else Node(asked[1] if asked else "80", said.place)
    return (Probe(path, said.place, stops=True, port=port),)


def balancer(files: Files) -> tuple[Probe, ...]:
    group = files["target-group.json"]
    path, port = group.get("HealthCheckPath"), group.get("HealthCheckPort")
    if port is not None and port.value == "traffic-port":
        port = None
    return (Probe(str(path.value), path.place, port=port),) if path else ()


def ports(files: Files, container: Node) -> list[Node]:
    """All that name where web listens."""
    service = files["web.service.json"]
    mapped = container.each("portMappings")
    found = [
        *(each.get("containerPort") for each in service.each("loadBalancers")),
        *(each.get(key) for each in mapped for key in ("containerPort", "hostPort")),
        files["target-group.json"].get("Port"),
    ]
    return [each for each in found if each is not None]


def look(stage: str, kind: Kind, container: Node) -> Iterator[Finding]:
    said = command(container)
    if said is None or (kind == "web" and alive(container)):
        return
    if kind == "web":
        what, todo = f"{said.value!r} asks web of {stage} nothing", "ask /health/live"
    elif not re.match(r"python3? -m service healthcheck\b", said.value):
        what = f"{said.value!r} does not ask {kind} of {stage}"
        todo = f"python -m service healthcheck {kind}"
    else:
        return
    yield Finding("health", said.place, what, todo)


def look_at_the_balancer(stage: str, files: Files) -> Iterator[Finding]:
    group = files["target-group.json"]
    waits = group.get("HealthCheckTimeoutSeconds")
    if waits is not None and (type(waits.value) is not int or waits.value < ANSWERS):
        what = f"web of {stage} has {waits.value} s to answer, and may need 2"
        yield Finding("health", waits.place, what, f"{ANSWERS} at least, as a number")
    well = group.get("Matcher", "HttpCode")
    if well is not None and str(well.value) != "200":
        what = f"web of {stage} is taken as ready when it says {well.value}"
        yield Finding("health", well.place, what, "HttpCode: 200, which is what it says then")
    service = files["web.service.json"]
    if not service.each("loadBalancers"):
        what = f"nothing sends requests to web of {stage}"
        yield Finding("port", service.place, what, "name the target group in loadBalancers")
