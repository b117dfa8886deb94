"""Evaluates .railway/railway.py as Railway's CLI does, in a process of its own: it is a program.

    python -I -B deploy/railway/evaluate.py .railway/railway.py production staging

Prints one JSON document: what `main` returns in each environment, or what went wrong and where.
"""

import importlib
import importlib.util
import inspect
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from types import TracebackType
from typing import Any

# Of Python's audit events, those that reach out of the process. This keeps a mistake from doing
# harm where people only wanted a check. It is no sandbox: whoever can change that file can
# change this one.
REACHES_OUT = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Refused(Exception):
    """What the file does and must not do, since it only describes."""


class NoOutput(io.StringIO):
    """The CLI takes all that is printed for the JSON document, and then cannot read it."""

    def write(self, text: str) -> int:
        raise Refused("it prints, and Railway's CLI cannot read what it returns")


def evaluate(file: str, environments: Sequence[str]) -> dict[str, Any]:
    with redirect_stdout(NoOutput()):
        try:
            return {"projects": {name: project(file, name) for name in environments}}
        except BaseException as error:  # sys.exit() too: whatever it is, it is in that file
            what = f"{type(error).__name__}: {error}".removeprefix("Refused: ")
            return {"problem": what, "line": line_of(error.__traceback__, file)}


def project(file: str, environment: str) -> Any:
    """As the CLI: `main`, or by another of its names, with a context if it takes one."""
    spec = importlib.util.spec_from_file_location("railway_sdk_user", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    names = (getattr(module, name, None) for name in ("main", "Railway", "default"))
    found: Any = next(filter(None, names), None)
    if callable(found):
        found = call(found, environment)
    if hasattr(found, "to_graph"):
        found = found.to_graph()
    if not isinstance(found, dict) or not isinstance(found.get("resources"), list):
        raise Refused("it has no `main` that returns project(…)")
    return json.loads(json.dumps(found, default=str))


def call(main: Callable[..., Any], environment: str) -> Any:
    if not inspect.signature(main).parameters:
        return main()
    sdk = importlib.import_module("railway_sdk")
    return main(sdk.create_railway_context({"command": "plan", "environment": environment}))


def line_of(trace: TracebackType | None, file: str) -> int:
    """Where in the file it happened: of all that had been called, the last place in it."""
    line = 1
    while trace:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Is told by Python of what is about to be done."""
    if event.startswith(REACHES_OUT):
        raise Refused(f"it does {event}, and is to describe only")
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES:
        raise Refused(f"it writes to {arguments[0]}, and is to describe only")


if __name__ == "__main__":
    sys.addaudithook(refuse)
    print(json.dumps(evaluate(sys.argv[1], sys.argv[2:])))
