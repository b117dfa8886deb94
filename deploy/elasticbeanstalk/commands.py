"""Elastic Beanstalk: a bundle of the last commit, deployed; back is the version before."""

import json

from deploy.pipeline.plan import APP, GONE, OURS, Command, Found, Known, Needs, Release

PLATFORM = "Python 3.13 running on 64bit Amazon Linux 2023"
NEEDS = Needs(
    programs=("aws", "eb", "git"),
    variables={"AWS_REGION": "such as eu-central-1"},
    signed_in=("aws", "sts", "get-caller-identity"),
    sign_in="`aws login`",
    ci_variables={"AWS_ROLE_ARN": "the role that the workflow may take by OIDC"},
    only="it packs the commit that is checked out",
)
_ASK = ("aws", "elasticbeanstalk")


def look(release: Release) -> list[Command]:
    return [_serves(release, "FORMER")]


def promote(release: Release) -> list[Command]:
    archive = ("--archive", f".elasticbeanstalk/{release.stage}.zip")
    label = f"{release.stage}-{release.commit}"
    return [
        _init(),
        Command((*OURS, "bundle", "--stage", release.stage)),
        _deploy(release, *archive, "--label", label),
    ]


def before(release: Release) -> list[Command]:
    words = ("describe-application-versions", "--application-name", APP, "--output", "json")
    what = f"the newest of {release.stage} before that, never gone back from"
    found = Found("FORMER", what, _before, beside=("SERVES",))
    return [_serves(release, "SERVES"), Command((*_ASK, *words), finds=(found,))]


def back(release: Release) -> list[Command]:
    return [_init(), _deploy(release, "--version", "$FORMER")]


def _init() -> Command:
    """Writes .elasticbeanstalk/config.yml, which no clone has."""
    return Command(("eb", "init", APP, "--region", "$AWS_REGION", "--platform", PLATFORM))


def _deploy(release: Release, *words: str) -> Command:
    environment = f"{APP}-{release.stage}"
    fixed = ("eb", "deploy", environment, "--region", "$AWS_REGION")
    return Command((*fixed, *words, "--timeout", "60"), turns=True)


def _serves(release: Release, name: str) -> Command:
    words = ("describe-environments", "--environment-names", f"{APP}-{release.stage}")
    found = Found(name, "the version that serves", _label)
    query = ("--query", "Environments[0].VersionLabel", "--output", "text")
    return Command((*_ASK, *words, *query), finds=(found,))


def _label(said: str, _: Known) -> str:
    return "" if said.strip() == "None" else said.strip()


def _before(said: str, known: Known) -> str:
    stage = known["SERVES"].partition("-")[0]
    found = sorted(
        json.loads(said)["ApplicationVersions"], key=lambda each: str(each["DateCreated"])
    )
    labels = [str(each["VersionLabel"]) for each in found]
    gone = known.get(GONE, "").splitlines()
    older = [each for each in labels[: labels.index(known["SERVES"])] if each not in gone]
    return next((each for each in reversed(older) if each.startswith(f"{stage}-")), "")
