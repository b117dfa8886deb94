"""DigitalOcean: a deployment of the branch's last commit. Back is asked of the API: no command of
doctl does it."""

import json
from collections.abc import Callable
from typing import Any

from deploy.pipeline.plan import Command, Found, Known, Needs, Release, Until
from deploy.shell import Failed

TOKEN = "DIGITALOCEAN_ACCESS_TOKEN"  # noqa: S105
API = "https://api.digitalocean.com/v2/apps"
NEEDS = Needs(
    programs=("doctl", "curl"),
    secrets={TOKEN: "of the account's API page, for apps"},
    patience=900,
    only="it builds the last commit of its branch",
)


def look(release: Release) -> list[Command]:
    return [_apps(release, Found("FORMER", "its active deployment", _active(release.app)))]


def promote(release: Release) -> list[Command]:
    return [Command(("doctl", "apps", "create-deployment", "$APP", "--wait"))]


def before(release: Release) -> list[Command]:
    words = ("doctl", "apps", "list-deployments", "$APP", "--output", "json")
    found = Found("FORMER", "the newest that was superseded", _superseded)
    return [_apps(release), Command(words, finds=(found,))]


def back(release: Release) -> list[Command]:
    asked = ("--json", '{"deployment_id": "$FORMER", "skip_pin": true}')
    words = ("curl", "--fail-with-body", "--silent", "--show-error", "--config", "-", *asked)
    # It only begins one: https://docs.digitalocean.com/reference/doctl/reference/apps/get-deployment
    begun = Found("BACK", "the deployment that it begins", _begun)
    phase = ("doctl", "apps", "get-deployment", "$APP", "$BACK", "--format", "Phase", "--no-header")
    header = f'header = "Authorization: Bearer ${TOKEN}"'  # not into the list of processes
    return [
        Command((*words, f"{API}/$APP/rollback"), finds=(begun,), given=header),
        Command(phase, until=Until("it is ACTIVE", _is_active)),
    ]


def _apps(release: Release, *more: Found) -> Command:
    found = Found("APP", f"the id of {release.app}", lambda said, _: _app(said, release.app)["id"])
    return Command(("doctl", "apps", "list", "--output", "json"), finds=(found, *more))


def _app(said: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(app for app in json.loads(said) if app["spec"]["name"] == name)
    return found


def _active(name: str) -> Callable[[str, Known], str]:
    return lambda said, _: str((_app(said, name).get("active_deployment") or {}).get("id", ""))


def _begun(said: str, _: Known) -> str:
    return str(json.loads(said)["deployment"]["id"])


def _is_active(said: str, known: Known) -> bool:
    phase = said.strip()
    if phase in ("ERROR", "CANCELED", "SUPERSEDED"):
        raise Failed(f"DigitalOcean ended the deployment {known['BACK']} with {phase}")
    return phase == "ACTIVE"


def _superseded(said: str, _: Known) -> str:
    found = [each for each in json.loads(said) if each["phase"] == "SUPERSEDED"]
    found.sort(key=lambda each: str(each["created_at"]), reverse=True)
    return str(found[0]["id"]) if found else ""
