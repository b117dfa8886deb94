"""Heroku: a push builds and migrates; back is its own rollback."""

import json
from collections.abc import Callable
from typing import Any

from deploy.pipeline.plan import Command, Found, Known, Needs, Release
from deploy.shell import Failed

NEEDS = Needs(
    programs=("heroku", "git"),
    secrets={"HEROKU_API_KEY": "of `heroku authorizations:create`"},
    signed_in=("heroku", "auth:whoami"),
    sign_in="`heroku login`",
)
# Heroku's CLI gives git the key: in the address it would be in the list of processes.
CREDENTIALS = "credential.https://git.heroku.com.helper=!heroku git:credentials"


def look(release: Release) -> list[Command]:
    return [_releases(release, Found("FORMER", "the version that is current", _current))]


def promote(release: Release) -> list[Command]:
    address = f"https://git.heroku.com/{release.app}.git"
    push = ("push", "--force", address, f"{release.commit}:refs/heads/main")
    has = ("git", "-c", CREDENTIALS, "ls-remote", address, "refs/heads/main")
    pushed = Found("PUSHED", "the commit that Heroku has", lambda said, _: said.partition("\t")[0])
    change = Found("CHANGE", "what changed its code last", _change(release), beside=("PUSHED",))
    return [
        Command(has, finds=(pushed,)),
        _releases(release, change),
        Command(("git", "-c", CREDENTIALS, *push)),
    ]


def before(release: Release) -> list[Command]:
    return [_releases(release, Found("FORMER", "the one before what is current", _before))]


def back(release: Release) -> list[Command]:
    return [Command(("heroku", "rollback", "$FORMER", "--app", release.app))]


def _releases(release: Release, found: Found) -> Command:
    return Command(("heroku", "releases", "--app", release.app, "--json"), finds=(found,))


def _good(said: str) -> list[dict[str, Any]]:
    """The newest first."""
    found = [each for each in json.loads(said) if each["status"] == "succeeded"]
    return sorted(found, key=lambda each: int(each["version"]), reverse=True)


def _change(release: Release) -> Callable[[str, Known], str]:
    """Raises Failed if a push would change nothing, and another commit serves."""

    def read(said: str, known: Known) -> str:
        changes = (str(each.get("description", "")) for each in _good(said))
        last = next((each for each in changes if each.startswith(("Deploy ", "Rollback "))), "")
        if last.startswith("Rollback ") and known["PUSHED"] == release.commit:
            raise Failed(
                f"to Git {release.commit} is up to date, but Heroku went back from it ({last}):"
                " push a new commit (git commit --allow-empty), or name its release, of `heroku"
                f" releases --app {release.app}`: python -m deploy rollback heroku --stage"
                f" {release.stage} --to vN"
            )
        return last

    return read


def _current(said: str, _: Known) -> str:
    return next((f"v{each['version']}" for each in _good(said) if each.get("current")), "")


def _before(said: str, _: Known) -> str:
    found = _good(said)
    serves = next((int(each["version"]) for each in found if each.get("current")), 0)
    return next((f"v{each['version']}" for each in found if int(each["version"]) < serves), "")
