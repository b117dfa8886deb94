"""What may be pushed to a server, as Git's pre-receive hook is told: `old new ref` lines."""

import re

from deploy.shell import Failed
from deploy.vps.host.layout import Server

OBJECTS = "refs/slipway/"  # may be pushed, and releases nothing


def pushed(said: str, server: Server) -> str | None:
    """The commit that is to be released; None for a push of objects alone. Raises Failed, which
    rejects the push."""
    lines = [line.split() for line in said.splitlines() if line.strip()]
    if any(len(line) != 3 for line in lines) or not lines:
        raise Failed("this is called by Git, with a line for each thing that is pushed")
    if any(re.fullmatch("0+", new) for _, new, _ in lines):
        raise Failed("nothing is deleted here")
    wanted = [(new, ref) for _, new, ref in lines if not ref.startswith(OBJECTS)]
    if not wanted:
        return None
    branch = f"refs/heads/{server.branch}"
    if len(wanted) > 1 or wanted[0][1] != branch:
        raise Failed(
            f"a push releases the branch {server.branch} and takes nothing else:"
            f" git push production HEAD:refs/heads/{server.branch}"
        )
    if (servers := max(server.servers, len(server.web_servers))) > 1:
        raise Failed(
            f"{server.server} is one of {servers} servers, and a push would release to it alone:"
            " `python -m deploy vps release` does all, one after the other"
        )
    return wanted[0][0]
