"""Fly.io: `fly deploy` builds, migrates and switches; back is a deploy of the former image."""

import json

from deploy.pipeline.plan import Command, Found, Known, Needs, Release

NEEDS = Needs(
    programs=("fly",),
    secrets={"FLY_API_TOKEN": "of `fly tokens create deploy`"},
    signed_in=("fly", "auth", "whoami"),
    sign_in="`fly auth login`",
    image="may",
    only="it builds what is checked out",
)


def look(release: Release) -> list[Command]:
    return [_releases(release, Found("FORMER", "the newest image that is complete", _newest))]


def promote(release: Release) -> list[Command]:
    built = ("--build-arg", f"COMMIT_SHA={release.commit}")
    return [_deploy(release, *(("--image", release.image) if release.image else built))]


def before(release: Release) -> list[Command]:
    return [_releases(release, Found("FORMER", "the newest image but the one that serves", _next))]


def back(release: Release) -> list[Command]:
    return [_deploy(release, "--image", "$FORMER")]


def _releases(release: Release, found: Found) -> Command:
    words = ("fly", "releases", "--app", release.app, "--image", "--json")
    return Command(words, finds=(found,))


def _deploy(release: Release, *words: str) -> Command:
    file = "fly.toml" if release.stage == "production" else "deploy/fly/fly.staging.toml"
    return Command(("fly", "deploy", "--config", file, *words))


def _images(said: str) -> list[str]:
    """Of the releases that came about, the newest first."""
    complete = [each for each in json.loads(said) if each["Status"] in ("complete", "succeeded")]
    complete.sort(key=lambda each: int(each["Version"]), reverse=True)
    return [str(each["ImageRef"]) for each in complete]


def _newest(said: str, _: Known) -> str:
    return next(iter(_images(said)), "")


def _next(said: str, _: Known) -> str:
    images = _images(said)
    return next((each for each in images if each != images[0]), "")
