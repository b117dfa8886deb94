"""Cloud Run: the job migrates, then service and pools are replaced; back is the former revision."""

import json

from deploy.pipeline.plan import GONE, Command, Found, Known, Needs, Release

NEEDS = Needs(
    programs=("gcloud", "sed"),
    signed_in=("gcloud", "auth", "print-access-token"),
    sign_in="`gcloud auth login`",
    ci_variables={
        "GOOGLE_WORKLOAD_IDENTITY_PROVIDER": "projects/…/providers/…, which trusts the repository",
        "GOOGLE_SERVICE_ACCOUNT": "that the workflow may act as",
        "CLOUDSDK_CORE_PROJECT": "the project's id",
        "CLOUDSDK_RUN_REGION": "such as europe-west1",
    },
    image="may",
)
POOLS = ("worker", "scheduler")
_RUN = ("gcloud", "run")


def look(release: Release) -> list[Command]:
    return [_serves(release, "FORMER"), _image("$FORMER")]


def promote(release: Release) -> list[Command]:
    file = "$FOLDER/{}.yaml".format
    return [
        *(_written(release, each, release.image) for each in ("migrate", "service", *POOLS)),
        Command((*_RUN, "jobs", "replace", file("migrate"))),
        Command((*_RUN, "jobs", "execute", f"{release.app}-migrate", "--wait")),
        Command((*_RUN, "services", "replace", file("service")), turns=True),
        *(Command((*_RUN, "worker-pools", "replace", file(each)), turns=True) for each in POOLS),
    ]


def before(release: Release) -> list[Command]:
    listed = ("revisions", "list", "--service", release.app, "--format", "json")
    found = Found(
        "FORMER",
        "the newest ready one before that, never gone back from",
        _before,
        beside=("SERVES",),
    )
    return [
        _serves(release, "SERVES"),
        Command((*_RUN, *listed), finds=(found,)),
        _image("$FORMER"),
    ]


def back(release: Release) -> list[Command]:
    traffic = ("services", "update-traffic", release.app, "--to-revisions=$FORMER=100")
    return [
        Command((*_RUN, *traffic)),
        *(_written(release, each, "$IMAGE") for each in POOLS),
        *(Command((*_RUN, "worker-pools", "replace", f"$FOLDER/{each}.yaml")) for each in POOLS),
    ]


def _written(release: Release, name: str, image: str | None) -> Command:
    """A file of the stage, with the image: all of its name, or the tag alone."""
    edit = f"s|[^ ]*:SHA|{image}|" if image else f"s/:SHA/:{release.commit}/"
    words = ("sed", edit, f"deploy/cloudrun/{release.stage}/{name}.yaml")
    return Command(words, writes=f"$FOLDER/{name}.yaml")


def _serves(release: Release, name: str) -> Command:
    words = ("services", "describe", release.app, "--format", "json")
    return Command((*_RUN, *words), finds=(Found(name, "the revision that serves", _serving),))


def _image(revision: str) -> Command:
    words = ("revisions", "describe", revision, "--format", "value(spec.containers[0].image)")
    return Command((*_RUN, *words), finds=(Found("IMAGE", "its image"),))


def _serving(said: str, _: Known) -> str:
    traffic = json.loads(said).get("status", {}).get("traffic", [])
    traffic.sort(key=lambda each: int(each.get("percent", 0)))
    return str(traffic[-1].get("revisionName", "")) if traffic else ""


def _before(said: str, known: Known) -> str:
    found = sorted(json.loads(said), key=lambda each: str(each["metadata"]["creationTimestamp"]))
    names = [str(each["metadata"]["name"]) for each in found if _ready(each["status"])]
    gone = known.get(GONE, "").splitlines()
    older = [each for each in names[: names.index(known["SERVES"])] if each not in gone]
    return older[-1] if older else ""


def _ready(status: dict[str, list[dict[str, str]]]) -> bool:
    return any(
        each["type"] == "Ready" and each["status"] == "True" for each in status["conditions"]
    )
