"""Servers of one's own: our own release and rollback, by the stage's servers.toml."""

from deploy.pipeline.plan import OURS, Command, Needs, Release

STAGING = "deploy/servers.staging.toml"
PRODUCTION = "deploy/servers.toml"
NEEDS = Needs(
    programs=("ssh", "git"),
    ci_secrets={"SSH_KEY": "one of `ci_keys` in servers.toml"},
    ci_variables={"KNOWN_HOSTS": "the servers' keys, of `ssh-keyscan`"},
    ci_files={"production": PRODUCTION, "staging": STAGING},
)


def look(release: Release) -> list[Command]:
    return []  # the servers remember


def promote(release: Release) -> list[Command]:
    return [_vps(release, "release", release.commit)]


def before(release: Release) -> list[Command]:
    return []


def back(release: Release) -> list[Command]:
    return [_vps(release, "rollback")]


def _vps(release: Release, *words: str) -> Command:
    servers = () if release.stage == "production" else ("--servers", STAGING)
    return Command((*OURS, "vps", *servers, *words))
