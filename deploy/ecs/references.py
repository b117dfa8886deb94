"""What the files of a stage call by name: its own cluster, secret, role, target group and image.

One that is of the other stage is there too, and so is refused by nobody.
"""

import re
from collections.abc import Iterator

from deploy.manifest import KINDS, Finding
from deploy.reading import Node, Place

Files = dict[str, Node]  # of a stage, by their names
Path = tuple[str | int, ...]
Named = tuple[str, Path, str, str]  # a file, where in it, a pattern, and what it is called
SERVICES = tuple(f"{kind}.service.json" for kind in KINDS if kind != "migrate")


def look(stage: str, files: Files) -> Iterator[Finding]:
    for file, path, pattern, called in (*_of_the_cluster(stage), *_of_the_tasks(stage)):
        found = files[file].get(*path)
        if found is None or not re.fullmatch(pattern, str(found.value)):
            place = (found or files[file]).place
            said = f"is {found.value}" if found else "is not there"
            yield _finding(place, f"{'.'.join(map(str, path))} of {stage} {said}", called)
    for kind in KINDS:
        for container in files[f"{kind}.task.json"].each("containerDefinitions"):
            yield from _secrets(stage, kind, container)
            if container.text("name") == kind:
                yield from _image(stage, kind, container)
    yield from _policy(stage, files["execution-policy.json"])
    yield from _container(stage, files)


def _finding(place: Place, what: str, called: str) -> Finding:
    return Finding("references", place, what, f"it is {called}")


def _of_the_cluster(stage: str) -> Iterator[Named]:
    """release.sh waits in the stage's cluster, whatever the files say."""
    name = f"slipway-{stage}"
    for file in (*SERVICES, "migrate.run.json"):
        yield file, ("cluster",), rf"(?:arn:\S+:cluster/)?{name}", name
    scales = f"service/{name}/web"
    yield "scaling-target.json", ("ResourceId",), scales, scales
    yield "target-group.json", ("Name",), name, name
    group = ("loadBalancers", 0, "targetGroupArn")
    called = f"the ARN of the target group {name}"
    yield "web.service.json", group, rf"arn:\S+:targetgroup/{name}/\w+", called


def _of_the_tasks(stage: str) -> Iterator[Named]:
    name = f"slipway-{stage}"
    for kind in KINDS:
        file = f"{kind}.task.json"
        yield file, ("family",), f"{name}-{kind}", f"{name}-{kind}"
        role = f"{name}-execution"
        yield file, ("executionRoleArn",), rf"arn:\S+:role/{role}", f"the ARN of the role {role}"


def _image(stage: str, kind: str, container: Node) -> Iterator[Finding]:
    """release.sh puts its tag in the place of SHA."""
    if not re.fullmatch(r"[^/\s]+/slipway:SHA", said := container.text("image") or ""):
        place = (container.get("image") or container).place
        what = f"the image of {kind} of {stage} is {said}"
        yield _finding(place, what, "the repository slipway, with the tag SHA")


def _secrets(stage: str, kind: str, container: Node) -> Iterator[Finding]:
    """By the name and the keys that `python -m deploy env ecs` gives them."""
    for each in container.each("secrets"):
        name, refers = each.text("name"), each.text("valueFrom")
        secret = rf"arn:aws[\w-]*:secretsmanager:[\w-]+:\w+:secret:slipway/{stage}-\w+"
        if not re.fullmatch(rf"{secret}:{name}::", refers or ""):
            yield _finding(
                each.place,
                f"{name} of {kind} of {stage} is {refers}",
                f"the ARN of the secret slipway/{stage}, and then :{name}::",
            )


def _policy(stage: str, policy: Node) -> Iterator[Finding]:
    """What may be read when a task starts."""
    for statement in policy.each("Statement"):
        resource = statement.get("Resource")
        said = str(resource.value) if resource else ""
        if resource and ":secret:" in said and f":secret:slipway/{stage}-" not in said:
            what = f"the role of {stage} may read {said}"
            yield _finding(resource.place, what, f"the ARN of the secret slipway/{stage}")


def _container(stage: str, files: Files) -> Iterator[Finding]:
    for each in files["web.service.json"].each("loadBalancers"):
        if each.text("containerName") != "web":
            place = (each.get("containerName") or each).place
            what = f"requests of {stage} go to the container {each.text('containerName')}"
            yield _finding(place, what, "web, as web.task.json names it")
