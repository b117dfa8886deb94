"""Ports for servers of the tests."""

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """A free port, below those that outgoing connections get: no client can sit on it meanwhile."""
    port = random.SystemRandom().randrange(20_000, 32_000)
    with suppress(OSError), socket.create_server(("", port)):
        return port
    return free_port()
