"""ECS: release.sh migrates and updates the services; back is the same with the former image."""

import json

from deploy.pipeline.plan import Command, Found, Known, Needs, Release

NEEDS = Needs(
    programs=("aws", "sed"),
    variables={"AWS_REGION": "such as eu-central-1"},
    signed_in=("aws", "sts", "get-caller-identity"),
    sign_in="`aws login`",
    ci_variables={"AWS_ROLE_ARN": "the role that the workflow may take by OIDC"},
    image="may",
)
_ECS = ("aws", "ecs")


def look(release: Release) -> list[Command]:
    return _serves(release, "FORMER")


def promote(release: Release) -> list[Command]:
    return [_release(release, release.image or release.commit)]


def before(release: Release) -> list[Command]:
    cluster = ("--cluster", f"slipway-{release.stage}", "--service", "web")
    listed = ("list-service-deployments", *cluster, "--status", "SUCCESSFUL", "--output", "json")
    asked = ("describe-service-revisions", "--cli-input-json", "$REVISIONS", "--output", "json")
    return [
        *_serves(release, "SERVES"),
        Command((*_ECS, *listed), finds=(Found("REVISIONS", "what they led to", _revisions),)),
        Command(
            (*_ECS, *asked),
            finds=(Found("FORMER", "the newest other image", _other, beside=("SERVES",)),),
        ),
    ]


def back(release: Release) -> list[Command]:
    return [_release(release, "$FORMER")]


def _release(release: Release, image: str) -> Command:
    return Command(("deploy/ecs/release.sh", release.stage, image), turns=True)


def _serves(release: Release, name: str) -> list[Command]:
    text = ("--output", "text", "--query")
    service = ("describe-services", "--cluster", f"slipway-{release.stage}", "--services", "web")
    task = ("describe-task-definition", "--task-definition", "$TASK")
    return [
        Command(
            (*_ECS, *service, *text, "services[0].taskDefinition"),
            finds=(Found("TASK", "what web runs"),),
        ),
        Command(
            (*_ECS, *task, *text, "taskDefinition.containerDefinitions[0].image"),
            finds=(Found(name, "its image"),),
        ),
    ]


def _revisions(said: str, _: Known) -> str:
    found = json.loads(said)["serviceDeployments"][:20]  # as many as may be asked for
    arns = [each["targetServiceRevisionArn"] for each in found]
    return json.dumps({"serviceRevisionArns": arns}) if arns else ""


def _other(said: str, known: Known) -> str:
    found = sorted(json.loads(said)["serviceRevisions"], key=lambda each: str(each["createdAt"]))
    images = [str(each["containerImages"][0]["image"]) for each in reversed(found)]
    return next((each for each in images if each != known["SERVES"]), "")
