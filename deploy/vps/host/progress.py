"""How far it is: lines for a person, or one JSON object a line for a machine."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from deploy import shell

_as_json = False


def speak_json(wanted: bool) -> None:
    global _as_json
    _as_json = wanted


def step(text: str) -> None:
    """What is done now: a release takes a while, and who waits wants to know what for."""
    tell({"step": text}, f"→ {text}")


def detail(text: str) -> None:
    for line in text.strip().splitlines():
        tell({"says": line.strip()}, f"  {line}")


def warn(text: str) -> None:
    """On stderr, with what has failed."""
    shell.say(f"  {text}", sys.stderr)


def failed(why: str) -> None:
    """The end of what did not come about: on stderr, and for a machine on stdout too."""
    shell.say(f"failed: {why}", sys.stderr)
    if _as_json:
        tell({"result": "failed", "why": why}, "")


def interrupted() -> None:
    shell.say("stopped, as was asked for", sys.stderr)
    if _as_json:
        tell({"result": "interrupted"}, "")


def tell(found: Mapping[str, Any], text: str) -> None:
    """The same for a machine and for a person, whichever listens."""
    shell.say(json.dumps(found) if _as_json else text)


def show(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
    """What a command that takes long says is passed on as it comes; a machine is not told."""
    if _as_json:
        shell.run(command, env=env, timeout=3600)
    else:
        shell.show(command, env=env)
