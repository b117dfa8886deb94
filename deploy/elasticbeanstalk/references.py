"""What the options of a stage call by name: its own parameters, instance profile and roles."""

import re
from collections.abc import Iterator

from deploy.elasticbeanstalk.options import SECRETS
from deploy.manifest import Finding
from deploy.reading import Node, Place

Options = dict[tuple[str, str], Node]  # by namespace and name
PROFILE = ("aws:autoscaling:launchconfiguration", "IamInstanceProfile")
ROLES = (
    ("aws:elasticbeanstalk:environment", "ServiceRole"),
    ("aws:elasticbeanstalk:managedactions", "ServiceRoleForManagedUpdates"),
)


def look(stage: str, place: Place, options: Options, roles: Node) -> Iterator[Finding]:
    """By the names that `python -m deploy env elasticbeanstalk` and roles.yaml give them."""
    for (namespace, name), node in options.items():
        if namespace == SECRETS and str(node.value).startswith("arn:"):
            parameter = rf"arn:aws[\w-]*:ssm:[\w-]+:\w+:parameter/slipway/{stage}/{name}"
            if not re.fullmatch(parameter, str(node.value)):
                what = f"{name} of {stage} is {node.value}"
                yield _finding(node.place, what, f"the ARN of /slipway/{stage}/{name}")
    profile = options.get(PROFILE)
    if (
        profile is None
        or profile.value != f"slipway-{stage}"
        or profile.value not in _made(roles, "InstanceProfileName")
    ):
        what = f"the instance profile of {stage} is {profile.value if profile else None}"
        at = profile.place if profile else place
        yield _finding(at, what, f"slipway-{stage}, which roles.yaml makes")
    for each in (options[role] for role in ROLES if role in options):
        if each.value not in _made(roles, "RoleName"):
            yield _finding(
                each.place, f"there is no role {each.value}", "one that roles.yaml makes"
            )


def _finding(place: Place, what: str, todo: str) -> Finding:
    return Finding("references", place, what, todo)


def _made(roles: Node, key: str) -> set[str | None]:
    """The names that the template's resources have by a key."""
    return {each.text("Properties", key) for _, each in roles.items("Resources")} - {None}
