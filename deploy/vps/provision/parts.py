"""All that a server gets, and in which order."""

from deploy.vps.provision import (
    environment,
    firewall,
    hardening,
    keys,
    monitoring,
    packages,
    postgres,
    program,
    redis,
    revert,
    services,
    sshd,
    system,
    tls,
    users,
    web,
)
from deploy.vps.provision.secrets import Secrets
from deploy.vps.servers import Fleet, Server


def apply(fleet: Fleet, server: Server, secrets: Secrets, *, update: bool) -> None:
    """What lets people in comes before what keeps others out."""
    packages.apply(fleet, server, update=update)
    users.apply()
    keys.apply(fleet, server)
    revert.apply()
    sshd.apply(fleet, server)
    firewall.apply(fleet, server)
    system.apply(fleet, server)
    hardening.apply(fleet, server)
    tls.rename(fleet, server)
    program.apply(fleet, server)
    if server.has("database"):
        postgres.apply(fleet, server, secrets)
    if server.has("redis"):
        redis.apply(fleet, server, secrets)
    if set(server.roles) & {"web", "worker", "database"}:
        environment.apply(fleet, server, secrets)
    services.apply(fleet, server)
    tls.apply(fleet, server)
    web.apply(fleet, server)
    monitoring.apply(fleet, server)


def last(fleet: Fleet, server: Server, *, whole: bool) -> None:
    """What comes when all servers have the rest. `whole`: no server failed, so that others have
    taken over what this one stops."""
    if whole:
        services.last(fleet, server)
        web.last(fleet, server)
    hardening.last(fleet, server)
    tls.issue(fleet, server)  # the domain may not lead here yet: nothing waits for it
