"""`python -m deploy load URL`: parses, asks whom it may hit, calls."""

import argparse
import math
import sys
from pathlib import Path
from urllib.parse import urlsplit

from deploy.load import run, steps
from deploy.load.steps import Lines
from deploy.shell import Failed


def add_arguments(load: argparse.ArgumentParser) -> None:
    load.add_argument("url", metavar="URL", type=_url, help="such as http://localhost:8000")
    load.add_argument(
        "--clients", type=_clients, default=64, help="at most, doubled from 1 on (%(default)s)"
    )
    load.add_argument(
        "--must", type=_clients, default=16, help="clients that it must bear (%(default)s)"
    )
    load.add_argument("--seconds", type=_number, default=10.0, help="of each step (%(default)s)")
    load.add_argument(
        "--p99", type=_number, default=250.0, help="milliseconds at most (%(default)s)"
    )
    load.add_argument(
        "--failed", type=_number, default=0.1, help="per cent of requests at most (%(default)s)"
    )
    load.add_argument(
        "--picture", metavar="FILE", type=Path, default=Path("load.html"), help="(%(default)s)"
    )
    load.add_argument("--yes", action="store_true", help="do not ask before another host is hit")


def main(found: argparse.Namespace) -> int:
    """0 if it bears what it must, else 1. Raises Failed."""
    if not run.is_loopback(found.url) and not found.yes:
        _may_hit(found.url, found.clients, len(steps.doubling(found.clients)) * found.seconds)
    lines = Lines(found.p99 / 1000, found.failed / 100)
    return run.run(found.url, found.clients, found.seconds, lines, found.must, found.picture)


def _may_hit(url: str, clients: int, seconds: float) -> None:
    host = urlsplit(url).hostname
    asked = f"{host} is not this machine: up to {clients} clients would ask it for {seconds:.0f} s"
    if not sys.stdin.isatty():
        raise Failed(f"{asked}. --yes says that it is yours, and may be")
    if input(f"{asked}.\nType its name to go on: ").strip() != host:
        raise Failed("nothing was sent")


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is no address such as https://api.example.com")
    return text.rstrip("/")


def _clients(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) <= 1000):
        raise argparse.ArgumentTypeError("a number from 1 to 1000 is needed")
    return int(text)


def _number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 < found < 1e6:
        raise argparse.ArgumentTypeError("a number above 0 is needed")
    return found
