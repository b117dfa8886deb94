"""Railway: a deploy of a commit for each service, and its own rollback, by its API.

It begins them and does not wait. The smoke test does for a commit; a way back is waited for here.
"""

import json
from collections.abc import Callable

from deploy.pipeline.plan import Command, Found, Known, Needs, Release, Until
from deploy.shell import Failed

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
# https://docs.railway.com/cli/deployment has all statuses.
ENDED = ("CRASHED", "FAILED", "REMOVED", "REMOVING", "SKIPPED")
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
    what = "its newest deployment"
    ended = {
        each: Until(f"{each} has a newer one, and it is SUCCESS", _came(each)) for each in SERVICES
    }
    return [
        *(_list(release, each, finds=(Found(_last(each), what, _newest),)) for each in SERVICES),
        *(_api(ROLLBACK, f"id=$FORMER_{each.upper()}") for each in SERVICES),
        *(_list(release, each, until=ended[each]) for each in SERVICES),
    ]


def _deployments(release: Release, place: int, what: str) -> list[Command]:
    return [
        _list(release, each, finds=(Found(f"FORMER_{each.upper()}", what, _succeeded(place)),))
        for each in SERVICES
    ]


def _list(
    release: Release, service: str, finds: tuple[Found, ...] = (), until: Until | None = None
) -> Command:
    words = ("railway", "deployment", "list", "--service", service)
    return Command((*words, "--environment", release.stage, "--json"), finds=finds, until=until)


def _last(service: str) -> str:
    return f"LAST_{service.upper()}"


def _api(query: str, *values: str) -> Command:
    given = [word for each in values for word in ("--raw-var", each)]
    return Command(("railway", "api", query, *given), turns=values[1:2] != ("service=$WEB",))


def _succeeded(place: int) -> Callable[[str, Known], str]:
    """The id at this place, the newest first, of the deployments that came about."""

    def read(said: str, _: Known) -> str:
        found = [each for each in _by_age(said) if each["status"] in ("SUCCESS", "REMOVED")]
        return "".join(str(each["id"]) for each in found[place : place + 1])

    return read


def _newest(said: str, _: Known) -> str:
    return str(_by_age(said)[0]["id"])


def _came(service: str) -> Callable[[str, Known], bool]:
    """Whether a newer one than before has come about: what is old says nothing of it."""

    def read(said: str, known: Known) -> bool:
        newest = _by_age(said)[0]
        if newest["id"] == known[_last(service)]:
            return False
        if newest["status"] in ENDED:
            raise Failed(f"Railway ended the rollback of {service} with {newest['status']}")
        return newest["status"] in ("SUCCESS", "SLEEPING")

    return read


def _by_age(said: str) -> list[dict[str, str]]:
    """The newest first."""
    return sorted(json.loads(said), key=lambda each: str(each["createdAt"]), reverse=True)


def _environment(name: str) -> Callable[[str, Known], str]:
    return lambda said, _: _id(said, "environments", name)


def _service(name: str) -> Callable[[str, Known], str]:
    return lambda said, _: _id(said, "services", name)


def _id(said: str, kind: str, name: str) -> str:
    nodes = [edge["node"] for edge in json.loads(said)[kind]["edges"]]
    return next((str(each["id"]) for each in nodes if each["name"] == name), "")
