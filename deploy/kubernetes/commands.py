"""Kubernetes: the Job migrates, then all is applied and waited for; back is a rollout undone."""

import re
from collections.abc import Callable

from deploy.pipeline.plan import Command, Found, Known, Needs, Release

DEPLOYMENTS = ("web", "worker", "scheduler")
NEEDS = Needs(
    programs=("kubectl", "sed"),
    signed_in=("kubectl", "--namespace", "$APP", "auth", "can-i", "patch", "deployments"),
    sign_in="a KUBECONFIG that may change deployments",
    ci_secrets={"KUBE_CONFIG": "the file's content, of an account for the stage's namespace"},
    image="may",
)
LATER = "app.kubernetes.io/component notin (web,worker,scheduler)"


def look(release: Release) -> list[Command]:
    return [_history(release, each, 1, "its revision now") for each in DEPLOYMENTS]


def promote(release: Release) -> list[Command]:
    overlay = f"deploy/kubernetes/overlays/{release.stage}"
    job = f"job/migrate-{release.commit}"
    image = ("-e", f"s|[^ ]*:SHA|{release.image}|g") if release.image else ()
    edits = (*image, "-e", f"s/SHA/{release.commit}/g")
    apply = ("kubectl", "apply", "-f", "$FOLDER/release.yaml")
    conditions = "--for=jsonpath={.status.conditions}"
    return [
        Command(("kubectl", "kustomize", overlay), writes="$FOLDER/overlay.yaml"),
        Command(("sed", *edits, "$FOLDER/overlay.yaml"), writes="$FOLDER/release.yaml"),
        _kubectl(release, "delete", job, "--ignore-not-found"),  # of an earlier try
        Command((*apply, "-l", LATER)),
        _kubectl(release, "wait", conditions, "--timeout=31m", job),
        _kubectl(release, "logs", job),
        _kubectl(release, "wait", "--for=condition=complete", "--timeout=10s", job),
        Command(apply, turns=True),
        *_waited_for(release),
    ]


def before(release: Release) -> list[Command]:
    return [_history(release, each, 2, "its revision before this one") for each in DEPLOYMENTS]


def back(release: Release) -> list[Command]:
    undone = [
        _kubectl(release, "rollout", "undo", f"deployment/{each}", f"--to-revision=${each.upper()}")
        for each in DEPLOYMENTS
    ]
    return [*undone, *_waited_for(release)]


def _kubectl(release: Release, *words: str) -> Command:
    return Command(("kubectl", "--namespace", release.app, *words))


def _waited_for(release: Release) -> list[Command]:
    return [
        _kubectl(release, "rollout", "status", f"deployment/{each}", "--timeout=15m")
        for each in DEPLOYMENTS
    ]


def _history(release: Release, name: str, place: int, what: str) -> Command:
    words = ("kubectl", "--namespace", release.app, "rollout", "history", f"deployment/{name}")
    return Command(words, finds=(Found(name.upper(), what, _revision(place)),))


def _revision(place: int) -> Callable[[str, Known], str]:
    """The number at this place, the newest first, of the table that kubectl prints."""

    def read(said: str, _: Known) -> str:
        found = sorted(map(int, re.findall(r"^(\d+)\s", said, re.M)), reverse=True)
        return "".join(map(str, found[place - 1 : place]))

    return read
