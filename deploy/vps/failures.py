"""What it means when a call of a server fails: ssh's own failures in words."""

from collections.abc import Iterator
from contextlib import contextmanager

from deploy.shell import Failed, say
from deploy.vps.servers import Server

OPERATOR = "deploy"
NOT_FOUND = 127  # a shell's code for a program that is not there
UNFINISHED = "is not provisioned to its end: python -m deploy vps provision"


class Lost(Failed):
    """The server was not reached, or the way to it broke: what it does is not known."""


def failure(server: Server, code: int, said: str) -> Failed:
    """What an exit code of ssh, and what was said, means: 255 is ssh's own."""
    if code == NOT_FOUND:  # we call nothing but our own program
        return Failed(f"{server.name}: {UNFINISHED}")
    if code != 255:
        text = said.strip().removeprefix("failed: ")
        return Failed(f"{server.name}: {text or f'ended with {code}, and said nothing'}")
    return Lost(f"{server.name}: {_lost(server, said)}")


@contextmanager
def also_failing() -> Iterator[None]:
    """For what is done after a failure, which it must not hide; nor end, though the server was
    interrupted."""
    try:
        yield
    except Failed as failure:
        say(f"  also failed: {failure}")
    except KeyboardInterrupt:
        say("  also stopped, by a Ctrl-C there")


def _lost(server: Server, said: str) -> str:
    where = f"{OPERATOR}@{server.address}" + (f" -p {server.port}" if server.port != 22 else "")
    for sign, words in MEANINGS:
        if sign in said:
            return words.format(where=where, server=server)
    last = said.strip().splitlines()[-1:] or ["ssh said nothing"]
    return f"the connection to {where} broke: {last[0]}"


# In this order: a changed host key is said to be one that cannot be verified, too.
MEANINGS = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "{server.address} has another host key than it had. If it was installed anew:"
        " ssh-keygen -R {server.address}. If not, somebody else may be answering: do not go on",
    ),
    (
        "Host key verification failed",
        "the host key of {server.address} is not known here. Connect once, compare it with the"
        " server's, and say yes: ssh {where}. A new server is met by `vps provision`",
    ),
    (
        "Could not resolve hostname",
        "the name {server.address} is not found: is it written as in servers.toml, and does this"
        " machine resolve names?",
    ),
    (
        "Connection refused",
        "{server.address} is there, but nothing listens on its port {server.port}: is it SSH's?"
        " Or has it banned this address (fail2ban; 10 minutes, and longer each time)?",
    ),
    (
        "Connection timed out",
        "{server.address} does not answer: is it on, and let in by a firewall?",
    ),
    ("No route to host", "{server.address} does not answer: is it on, and in this network?"),
    ("Network is unreachable", "there is no way from here to {server.address}"),
    (
        "Permission denied",
        "{where} does not accept your key. Is it in `keys` of servers.toml, did somebody run"
        " `vps provision` since, and does ssh-add -l show it?",
    ),
)
