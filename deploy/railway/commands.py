"""Railway: a deploy of a commit for each service, and its own rollback, by its API.

It begins them and does not wait: the smoke test does.
"""

import json
from collections.abc import Callable

from deploy.pipeline.plan import Command, Found, Known, Needs, Release

SERVICES = ("web", "worker", "scheduler")
NEEDS = Needs(
    programs=("railway",),
    secrets={"RAILWAY_TOKEN": "a project token of the stage's environment"},
    signed_in=("railway", "whoami"),
    sign_in="`railway login`",
    patience=900,
)
DEPLOY = (
    "mutation($commit: String!, $service: String!, $environment: String!)"
    " { serviceInstanceDeployV2(commitSha: $commit, serviceId: $service,"
    " environmentId: $environment) }"
)
ROLLBACK = "mutation($id: String!) { deploymentRollback(id: $id) }"


def look(release: Release) -> list[Command]:
    found = [Found("ENVIRONMENT", f"the id of {release.stage}", _environment(release.stage))]
    found += [Found(each.upper(), f"that of {each}", _service(each)) for each in SERVICES]
    status = Command(("railway", "status", "--json"), finds=tuple(found))
    return [status, *_deployments(release, 0, "the deployment that serves")]


def promote(release: Release) -> list[Command]:
    return [
        _api(
            DEPLOY,
            f"commit={release.commit}",
            f"service=${each.upper()}",
            "environment=$ENVIRONMENT",
        )
        for each in SERVICES
    ]


def before(release: Release) -> list[Command]:
    return _deployments(release, 1, "the one before what serves")


def back(release: Release) -> list[Command]:
    return [_api(ROLLBACK, f"id=$FORMER_{each.upper()}") for each in SERVICES]


def _deployments(release: Release, place: int, what: str) -> list[Command]:
    return [
        Command(
            (
                *("railway", "deployment", "list", "--service", each),
                *("--environment", release.stage, "--json"),
            ),
            finds=(Found(f"FORMER_{each.upper()}", what, _succeeded(place)),),
        )
        for each in SERVICES
    ]


def _api(query: str, *values: str) -> Command:
    given = [word for each in values for word in ("--raw-var", each)]
    return Command(("railway", "api", query, *given), turns=values[1:2] != ("service=$WEB",))


def _succeeded(place: int) -> Callable[[str, Known], str]:
    """The id at this place, the newest first, of the deployments that came about."""

    def read(said: str, _: Known) -> str:
        found = [each for each in json.loads(said) if each["status"] in ("SUCCESS", "REMOVED")]
        found.sort(key=lambda each: str(each["createdAt"]), reverse=True)
        return "".join(str(each["id"]) for each in found[place : place + 1])

    return read


def _environment(name: str) -> Callable[[str, Known], str]:
    return lambda said, _: _id(said, "environments", name)


def _service(name: str) -> Callable[[str, Known], str]:
    return lambda said, _: _id(said, "services", name)


def _id(said: str, kind: str, name: str) -> str:
    nodes = [edge["node"] for edge in json.loads(said)[kind]["edges"]]
    return next((str(each["id"]) for each in nodes if each["name"] == name), "")
