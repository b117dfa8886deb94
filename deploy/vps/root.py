#!/usr/bin/python3 -I
"""`sudo slipway-root VERB`: all that the user deploy may do as root.

Installed as /usr/local/sbin/slipway-root, by itself: nothing that deploy can write is read or run
here, each word is one of a few, and what is started gets neither our environment nor a shell.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

LIVE = "slipway"  # the database that the service uses, and the role that owns it
COLOURS = ("blue", "green")
WORKERS = ("slipway-worker.service", "slipway-scheduler.service")
ROOT = Path("/srv/slipway")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/"}
SCRATCH = re.compile(r"slipway_[a-z0-9_]{1,50}", re.ASCII)

USAGE = """usage: slipway-root start|stop|migrate blue|green
       slipway-root workers restart|stop|start
       slipway-root boot
       slipway-root database create NAME | drop NAME | swap NAME OLD   (slipway_…)"""


class Step(NamedTuple):
    """A command; what it reads; whether it is run though one before it failed; and whether it may
    fail itself."""

    command: list[str]
    given: str = ""
    always: bool = False
    may_fail: bool = False


def plan(words: list[str], green: bool, there: bool) -> list[Step] | None:
    """The steps of a verb, in their order; None for what is not allowed. `green`: it is the
    colour that serves; `there`: that has a release."""
    match words:
        case ["start", colour] if colour in COLOURS:
            return [
                _anew(_service(colour)),
                _systemctl("start", _socket(colour)),
                _systemctl("start", _service(colour)),
            ]
        case ["stop", colour] if colour in COLOURS:
            return [_systemctl("stop", _socket(colour), _service(colour))]
        case ["migrate", colour] if colour in COLOURS:
            return [_systemctl("start", f"slipway-migrate@{colour}.service")]
        case ["workers", "restart" | "start" as verb]:
            return [_anew(*WORKERS), _systemctl(verb, *WORKERS)]
        case ["workers", "stop"]:
            return [_systemctl("stop", *WORKERS)]
        case ["boot"]:
            colour = COLOURS[green]
            start = [
                _systemctl("start", _socket(colour)),
                _systemctl("start", "--no-block", _service(colour)),
            ]
            return start if there else []
        case ["database", *rest]:
            return _database(rest)
    return None


def _database(words: list[str]) -> list[Step] | None:
    match words:
        case ["create", name] if _is_scratch(name):
            # As provision makes the live one (role.sql), whose place it may take.
            as_live = ["--owner", LIVE, "--encoding", "UTF8", "--locale", "C.UTF-8"]
            return [
                Step(_postgres("createdb", *as_live, "--template", "template0", name)),
                _psql(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC;"),
            ]
        case ["drop", name] if _is_scratch(name):
            return [Step(_postgres("dropdb", "--if-exists", "--force", name))]
        case ["swap", name, old] if _is_scratch(name) and _is_scratch(old) and name != old:
            return [
                _psql(*_closed(name)),
                _psql(*_renamed(name, old)),
                _psql(*_opened(old))._replace(always=True),
            ]
    return None


def _is_scratch(name: str) -> bool:
    return SCRATCH.fullmatch(name) is not None


def _closed(name: str) -> list[str]:
    """Nobody is connected to either, and nobody comes back to the live one meanwhile. A live one
    that was dropped is no hindrance: \\gexec runs what a query makes, which may be nothing."""
    exists = f"FROM pg_database WHERE datname = '{LIVE}'"
    return [
        f"SELECT 'ALTER DATABASE {LIVE} ALLOW_CONNECTIONS false' {exists} \\gexec",
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        f" WHERE datname IN ('{LIVE}', '{name}');",
    ]


def _renamed(name: str, old: str) -> list[str]:
    """Both names in one transaction: there is a live one, or all is as it was."""
    exists = f"FROM pg_database WHERE datname = '{LIVE}'"
    return [
        "BEGIN;",
        f"SELECT 'ALTER DATABASE {LIVE} RENAME TO {old}' {exists} \\gexec",
        f"ALTER DATABASE {name} RENAME TO {LIVE};",
        "COMMIT;",
    ]


def _opened(old: str) -> list[str]:
    """Whatever has happened: what is there may be connected to."""
    return [
        "SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS true', datname) FROM pg_database"
        f" WHERE datname IN ('{LIVE}', '{old}') AND NOT datallowconn \\gexec"
    ]


def _postgres(*command: str) -> list[str]:
    return ["runuser", "-u", "postgres", "--", *command]


def _psql(*statements: str) -> Step:
    """On its standard input: it takes \\gexec from there only."""
    command = _postgres("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres")
    return Step(command, "\n".join([*statements, ""]))


def _systemctl(verb: str, *words: str) -> Step:
    return Step(["systemctl", "--no-ask-password", verb, *words])


def _anew(*units: str) -> Step:
    """What failed too often is not started otherwise; it fails for one that never ran."""
    return _systemctl("reset-failed", *units)._replace(may_fail=True)


def _service(colour: str) -> str:
    return f"slipway-web@{colour}.service"


def _socket(colour: str) -> str:
    return f"slipway-web@{colour}.socket"


def main(words: list[str]) -> int:
    """0, the code of the first command that failed, or 2 for what is not allowed."""
    green = (ROOT / "edge/green").exists()
    steps = plan(words, green, (ROOT / "colours" / COLOURS[green]).exists())
    if steps is None:
        print(USAGE, file=sys.stderr)
        return 2
    return run(steps)


def run(steps: list[Step]) -> int:
    failed = 0
    for step in steps:
        if failed and not step.always:
            continue
        code = _run(step)
        failed = failed or (0 if step.may_fail else code)
    return failed


def _run(step: Step) -> int:
    given, quiet = step.given.encode(), subprocess.DEVNULL
    return subprocess.run(  # noqa: S603
        step.command,
        input=given,
        env=ENVIRONMENT,
        cwd="/",
        stdout=quiet,
        stderr=quiet if step.may_fail else None,
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
