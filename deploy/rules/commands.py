"""Commands: each kind of process is there, and is started and checked by what is one."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

from deploy.manifest import KINDS, Finding, Manifest, Process
from service.environment import ROOT

# The forms that are `python -m service web`.
GUNICORN = (
    ["gunicorn", "service.wsgi:app"],
    ["gunicorn", "--config", "gunicorn.conf.py", "service.wsgi:app"],
    ["gunicorn", "-c", "gunicorn.conf.py", "service.wsgi:app"],
)


def processes(manifest: Manifest) -> Iterator[Finding]:
    """web, worker, scheduler and migrate are there, and their commands are commands."""
    for stage in manifest.stages:
        for kind in KINDS:
            if kind not in stage.processes:
                yield Finding(
                    "processes",
                    stage.place,
                    f"{stage.name} has no {kind}",
                    f"add it: python -m service {kind}",
                )
        for process in stage.processes.values():
            command = process.command
            if command is None:
                if process.kind != "web":  # what the Dockerfile runs
                    yield _wrong_command(process, "nothing is said, so the image runs web")
                continue
            if problem := wrong_command(command, process.kind):
                yield _wrong_command(process, problem)


def _wrong_command(process: Process, problem: str) -> Finding:
    return Finding(
        "processes",
        process.place,
        f"{process.kind}: {problem}",
        f"python -m service {process.kind}",
    )


def wrong_command(command: str, kind: str) -> str | None:
    """What is wrong with a command for a kind of process; None if nothing is."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        return f"{command!r} is no command: {error}"
    if words[:1] == ["gunicorn"]:
        # Options go before gunicorn.conf.py: a --bind, --timeout or --workers would undo it.
        ours = kind == "web" and words in GUNICORN
        return None if ours else f"{command!r} is not how {kind} is started"
    if words[:3] not in (["python", "-m", "service"], ["python3", "-m", "service"]):
        return f"{command!r} is no `python -m service …`"
    if words[3:4] != [kind]:
        return f"{command!r} is not {kind}"
    return _said_of(tuple(words[3:]))


def wrong_check(command: str, kind: str) -> str | None:
    """What is wrong with a command that says whether a process of a kind is well."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        return f"{command!r} is no command: {error}"
    if "healthcheck" not in words:
        return None  # of another kind: its reader looks at it
    if words[words.index("healthcheck") + 1 :] != [kind]:
        return f"{command!r} does not check {kind}"
    return _said_of(tuple(words[words.index("healthcheck") :]))


@cache
def _said_of(words: tuple[str, ...]) -> str | None:
    """What the service says of its own command line, which is not run."""
    program = "import sys; from service.__main__ import parser; parser().parse_args(sys.argv[1:])"
    tried = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True
    )
    if tried.stdout:  # of --help: it ends well, and has done nothing
        return f"`{shlex.join(words)}` only says how it is called"
    return None if tried.returncode == 0 else tried.stderr.strip().splitlines()[-1]
