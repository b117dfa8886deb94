from pathlib import Path

from deploy.vps.servers import Fleet, Server


def provision(
    fleet: Fleet, servers: list[Server], ssh_config: Path | None, *, dry_run: bool
) -> int:
    raise NotImplementedError
