"""Being the only one who changes something: asked for, and given up, by whoever calls."""

import argparse
import os
import signal
import sys
import threading

from deploy.shell import finish_commands
from deploy.vps.host import lock, surroundings
from deploy.vps.host.layout import Host

FREE_WHILE_LOCKED = (
    "maintenance",
    "balance",
    "lock",
    "discard",
    "settle",
)


def change(host: Host, said: argparse.Namespace, what: str) -> str:
    """Be the only one who changes something; who it is. Raises Failed."""
    who = begin(said)
    if said.verb not in FREE_WHILE_LOCKED:
        lock.check_lock(host.layout)
    lock.take(host.layout, who, what, said.token)
    return who


def begin(said: argparse.Namespace) -> str:
    """What ends us, from now on, ends us in order; who it is."""
    finish_commands()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    if said.attended:
        threading.Thread(target=_attend, daemon=True).start()
    return surroundings.who(said.who)


def _attend() -> None:
    """Whoever called us is gone when standard input ends."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGINT)
