"""One host with Docker, which a stage has for itself: our own release and rollback."""

from deploy.pipeline.plan import OURS, Command, Needs, Release

NEEDS = Needs(
    programs=("docker",),
    variables={"DOCKER_HOST": "the stage's host: ssh://deploy@203.0.113.7"},
    signed_in=("docker", "version"),
    sign_in="a key for DOCKER_HOST",
    ci_secrets={"SSH_KEY": "that opens the host"},
    ci_variables={"KNOWN_HOSTS": "its key, of `ssh-keyscan`"},
    image="must",
)


def look(release: Release) -> list[Command]:
    return []  # the host remembers


def promote(release: Release) -> list[Command]:
    return [Command((*OURS, "docker", "release", release.image or "IMAGE"))]


def before(release: Release) -> list[Command]:
    return []


def back(release: Release) -> list[Command]:
    return [Command((*OURS, "docker", "rollback"))]
