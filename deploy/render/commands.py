"""Render: a deploy of a commit for each service; web's migrates first. Back is the former one."""

import json

from deploy.pipeline.plan import Command, Found, Known, Needs, Release

SERVICES = ("WEB", "WORKER", "SCHEDULER")
NEEDS = Needs(
    programs=("render",),
    secrets={"RENDER_API_KEY": "of the account's settings"},
    variables={
        f"RENDER_{each}_ID": f"of {each.lower()}: `render services list --output json`"
        for each in SERVICES
    },
    signed_in=("render", "whoami", "--output", "json"),
    sign_in="`render login`",
)


def look(release: Release) -> list[Command]:
    return [_deploys(Found("FORMER", "the commit that is live", _live))]


def promote(release: Release) -> list[Command]:
    return [_deploy(each, release.commit) for each in SERVICES]


def before(release: Release) -> list[Command]:
    return [_deploys(Found("FORMER", "the newest commit that was live before", _before))]


def back(release: Release) -> list[Command]:
    return [_deploy(each, "$FORMER") for each in SERVICES]


def _deploys(found: Found) -> Command:
    words = ("render", "deploys", "list", "$RENDER_WEB_ID", "--output", "json")
    return Command(words, finds=(found,))


def _deploy(service: str, commit: str) -> Command:
    words = ("render", "deploys", "create", f"$RENDER_{service}_ID", "--commit", commit)
    # If web's fails, nothing has changed: its migration comes before its traffic.
    later = service != "WEB"
    return Command((*words, "--wait", "--confirm", "--output", "json"), turns=later)


def _commits(said: str, status: str) -> list[str]:
    """The newest first, as Render lists them."""
    return [str(each["commit"]["id"]) for each in json.loads(said) if each["status"] == status]


def _live(said: str, _: Known) -> str:
    return next(iter(_commits(said, "live")), "")


def _before(said: str, _: Known) -> str:
    live = _commits(said, "live")
    return next((each for each in _commits(said, "deactivated") if each not in live), "")
