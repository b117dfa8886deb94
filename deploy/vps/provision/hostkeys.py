"""By which host keys this machine knows a server. One that it has not met is taken for what it says
(connection.py), so people are told what that was."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deploy.vps.provision.connection import Line, run
from deploy.vps.provision.keys import Place

WITHIN = 10  # seconds: nobody is asked over a network


@contextmanager
def told_if_new(line: Line, tell: Callable[[str], None]) -> Iterator[None]:
    """Within: the first connection, whether it lets us in or not."""
    met = bool(_known(line))
    try:
        yield
    finally:
        if not met and (found := _known(line)):
            tell(
                f"met for the first time, and taken for right: {', '.join(found)}. Compare that"
                " with the host key that your provider, or the server's console, shows"
            )


def _known(line: Line) -> list[str]:
    """Kinds and fingerprints, of the files that this user's ssh adds to."""
    program, *words = line.words()
    said = run([program, "-G", *words], "", WITHIN).out
    config = dict(each.partition(" ")[::2] for each in said.splitlines())
    name = _name(config)
    found = []
    for file in config.get("userknownhostsfile", "").split():
        listed = run(["ssh-keygen", "-l", "-F", name, "-f", file], "", WITHIN).out.splitlines()
        found += [each.partition(" ")[2] for each in listed if not each.startswith("#")]
    return found


def _name(config: dict[str, str]) -> str:
    """As known_hosts has it, of what `ssh -G` says."""
    place = Place("", config.get("hostname", ""), int(config.get("port", "22")))
    return config.get("hostkeyalias") or place.name
