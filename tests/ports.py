"""Ports for servers of the tests."""

import itertools
import os
import random
import socket
from contextlib import suppress

# Below those that outgoing connections get, so that no client can sit on one meanwhile; and above
# those of devserver.py. Each process of the suite has some that no other one takes.
FIRST, EACH, PROCESSES = 26_000, 750, 8
_process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PROCESSES
_numbers = itertools.count(random.SystemRandom().randrange(EACH))


def free_port() -> int:
    """A free port, and none that was given a moment ago."""
    port = FIRST + _process * EACH + next(_numbers) % EACH
    with suppress(OSError), socket.create_server(("", port)):
        return port
    return free_port()
