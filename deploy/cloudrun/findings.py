"""What only the files of Cloud Run can have wrong."""

import json
from collections.abc import Iterator, Mapping

from deploy.manifest import Finding, Kind
from deploy.reading import Node

APP = "slipway"
KINDS: dict[Kind, str] = {
    "web": "Service",
    "worker": "WorkerPool",
    "scheduler": "WorkerPool",
    "migrate": "Job",
}
NOTES = ("metadata", "annotations")
OF_TEMPLATE = ("spec", "template", *NOTES)
RUN = "run.googleapis.com/"


def container(kind: Kind, file: Node) -> Node:
    """The first one; the file if there is none."""
    return inner(kind, file).get("containers", 0) or file


def inner(kind: Kind, file: Node) -> Node:
    """What runs: a job has its own template inside that of its executions."""
    path: tuple[str, ...] = ("spec", "template", "spec")
    return file.get(*path, *(("template", "spec") if kind == "migrate" else ())) or file


def of(stage: str, files: Mapping[Kind, Node]) -> Iterator[Finding]:
    app = APP if stage == "production" else f"{APP}-{stage}"
    for kind, file in files.items():
        yield from _names(app, kind, file)
        yield from _secrets(stage, kind, file)
        yield from _image(kind, file, files["web"])
        yield from _network(kind, file)
    yield from _web(files["web"])


def _names(app: str, kind: Kind, file: Node) -> Iterator[Finding]:
    """Two of the same name are one: staging's would be put in the place of production's."""
    at = file.get("kind") or file
    if at.value != KINDS[kind]:
        said = f"{kind} is a {file.text('kind')}"
        yield Finding("processes", at.place, said, f"kind: {KINDS[kind]}")
    name = app if kind == "web" else f"{app}-{kind}"
    at = file.get("metadata", "name") or file
    if at.value != name:
        rule = "migration" if kind == "migrate" else "references"
        said = f"{kind} is called {file.text('metadata', 'name')}, and deployed as {name}"
        yield Finding(rule, at.place, said, f"name: {name}, as in deploy/cloudrun/README.md")
    account = inner(kind, file).get("serviceAccountName") or file
    if not str(account.value).startswith(f"{app}@"):
        yield Finding(
            "references",
            account.place,
            f"{kind} does not run as {app}@…, which may read the stage's secrets",
            f"serviceAccountName: {app}@PROJECT.iam.gserviceaccount.com",
        )


def _secrets(stage: str, kind: Kind, file: Node) -> Iterator[Finding]:
    """Each is the one that `python -m deploy env cloudrun` makes."""
    for each in container(kind, file).each("env"):
        if each.get("valueFrom") is None:
            continue
        made = f"{APP}-{stage}-{(each.text('name') or '').lower().replace('_', '-')}"
        at = each.get("valueFrom", "secretKeyRef", "name") or each
        if at.value != made:
            yield Finding(
                "references",
                at.place,
                f"{each.text('name')} of {kind} does not come from the secret {made}",
                "name that; `python -m deploy env cloudrun` makes it",
            )


def _image(kind: Kind, file: Node, web: Node) -> Iterator[Finding]:
    """One image for all, with the tag that each deploy puts in."""
    at = container(kind, file).get("image") or file
    if at.value != container("web", web).text("image"):
        yield Finding("references", at.place, f"{kind} has another image than web", "make them one")
    elif not str(at.value).endswith(":SHA"):
        yield Finding(
            "references",
            at.place,
            f"{kind} has always the same image, {at.value}: a deploy would change nothing",
            "end it with :SHA, which each deploy puts in",
        )


def _network(kind: Kind, file: Node) -> Iterator[Finding]:
    """Memorystore, and Cloud SQL by a private address, are reached through a network only."""
    direct = file.get(*OF_TEMPLATE, f"{RUN}network-interfaces")
    if not (file.get(*OF_TEMPLATE, f"{RUN}vpc-access-connector") or _interfaces(direct)):
        yield Finding(
            "references",
            (direct or file).place,
            f"{kind} reaches no private address: neither Memorystore nor Cloud SQL",
            f'{RUN}network-interfaces: \'[{{"network": …, "subnetwork": …}}]\' at its template',
        )
    egress = file.get(*OF_TEMPLATE, f"{RUN}vpc-access-egress")
    if egress is None or egress.value not in ("private-ranges-only", "all-traffic"):
        yield Finding(
            "references",
            (egress or file).place,
            f"{kind} does not say what goes through the network",
            f"{RUN}vpc-access-egress: private-ranges-only",
        )


def _interfaces(node: Node | None) -> bool:
    try:
        found = json.loads(str(node.value)) if node else None
    except ValueError:
        return False
    one = found[0] if isinstance(found, list) and found else None
    return isinstance(one, dict) and bool(one.get("network") or one.get("subnetwork"))


def _web(file: Node) -> Iterator[Finding]:
    yield from _open(file)
    at = file.get(*OF_TEMPLATE, f"{RUN}cpu-throttling")
    if at is None or str(at.value).lower() != "false":
        yield Finding(
            "release",
            (at or file.get(*OF_TEMPLATE) or file).place,
            "web has no CPU between requests: a job that is handed over after a response waits",
            f'{RUN}cpu-throttling: "false" at the template',
        )
    for each in container("web", file).each("env"):
        if each.value and each.text("name") == "PORT":
            yield Finding(
                "port",
                each.place,
                "PORT is Cloud Run's to set, and a file that has it is refused",
                "containerPort says it",
            )
    for each in file.each("spec", "traffic"):
        if each.get("revisionName"):
            yield Finding(
                "release",
                each.place,
                f"after each deploy requests still go to {each.text('revisionName')}",
                "remove it: without `traffic` they go to the new one",
            )


def _open(file: Node) -> Iterator[Finding]:
    """Anybody may ask web: it has its own sign-in."""
    at = file.get(*NOTES, f"{RUN}invoker-iam-disabled")
    if at is None or str(at.value).lower() != "true":
        yield Finding(
            "release",
            (at or file.get(*NOTES) or file).place,
            "web is private: each request without a token of Google's is answered 403",
            f'{RUN}invoker-iam-disabled: "true" at the service\'s own annotations',
        )
    at = file.get(*NOTES, f"{RUN}ingress")
    if at and at.value not in ("all", "internal-and-cloud-load-balancing"):
        yield Finding(
            "release", at.place, f"web gets no requests from outside: {at.value}", "ingress: all"
        )
