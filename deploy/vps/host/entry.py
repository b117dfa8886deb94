"""`slipway VERB` as it is installed: finds the code that is to do it, and becomes that.

A release is made by the program of its own commit, in one go or step by step; everything else is
done by that of the release that serves, or by this one as long as there is none.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from deploy.shell import Failed, finish_commands
from deploy.vps.host import (
    audit,
    cli,
    edge,
    export,
    layout,
    lock,
    progress,
    receive,
    releases,
    surroundings,
)
from deploy.vps.host.layout import Host, Layout

OURS = Path(__file__).resolve().parents[3]
OBTAIN = frozenset(("release", "prepare", "receive", "resolve"))
HELP = frozenset(("-h", "--help"))
STEPS = ("migrate", "turn", "workers", "smoke", "settle")


def main(arguments: Sequence[str]) -> int:
    """2 for usage, 1 for a failure; else this process goes on as another program."""
    os.umask(0o022)
    found = Layout()
    try:
        # Who asks what a verb takes is answered by the program that knows all of it.
        if not OBTAIN.intersection(arguments[:1]) or HELP.intersection(arguments):
            become(_code(found, arguments), list(arguments))
        host = Host(layout.read_server(found.settings), found)
        obtained = obtain(host, arguments[0], arguments[1:])
        if obtained is None:
            return 0
        become(host.layout.releases / obtained[1], list(obtained))
    except Failed as failure:
        progress.failed(str(failure))
        return 1
    except OSError as error:
        progress.failed(layout.words(error))
        return 1
    except KeyboardInterrupt:
        progress.interrupted()
        return 130


def obtain(host: Host, verb: str, arguments: Sequence[str]) -> tuple[str, ...] | None:
    """What to call of a release that was unpacked; None if there is nothing to do. Raises
    Failed; nothing has been touched then."""
    said, rest = parser(verb).parse_known_args(arguments)
    finish_commands()
    progress.speak_json(said.json)
    ref: str | None
    if verb == "receive":
        ref, verb = receive.pushed(sys.stdin.read(), host.server), "release"
        if ref is None:
            return None
    else:
        ref = said.ref
    who, git = surroundings.who(said.who), surroundings.variables()
    if verb == "resolve":
        export.fetch(host, git)
        commit = export.resolve(host, ref, git)
        progress.tell({"commit": commit}, commit)
        return None
    lock.check_lock(host.layout)
    descriptor = lock.take(host.layout, who, f"{verb} {ref}", said.token)
    try:
        if not said.pushed:
            export.fetch(host, git)
        commit = export.resolve(host, ref, git)
        export.check_room(host, commit, git)
        folder = export.unpack(host, commit, git, said.at)
    except (Failed, OSError) as failure:
        about = {"who": who, "what": verb, "release": ref}
        audit.append(host.layout, about, audit.cause(failure), 0)
        raise
    lock.pass_on(descriptor)
    more = ["--json"] if said.json else []
    more += ["--token", said.token] if said.token else []
    return (verb, folder.name, "--who", who, *more, *rest)


def parser(verb: str) -> argparse.ArgumentParser:
    """Only what is needed here: the rest is for the program of the release."""
    found = argparse.ArgumentParser(prog=f"slipway {verb}", add_help=False, allow_abbrev=False)
    if verb != "receive":
        found.add_argument("ref", metavar="REF")
    _add_caller(found)
    found.add_argument("--at", type=cli.moment)
    found.add_argument("--json", action="store_true")
    found.set_defaults(pushed=verb == "receive")
    return found


def _code(found: Layout, arguments: Sequence[str]) -> Path:
    """The folder with the program of the release that a step is of, else of what serves. Without
    a server.json, or before the first release, it is this one."""
    if (named := step_of(found, arguments)) is not None:
        return named
    try:
        serves = edge.serving(Host(layout.read_server(found.settings), found))
    except Failed:
        return OURS
    return serves if serves and _has_program(serves) else OURS


def step_of(found: Layout, arguments: Sequence[str]) -> Path | None:
    """The release that is named for one of its steps, if its folder has the program."""
    if not arguments or arguments[0] not in STEPS:
        return None
    words = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    words.add_argument("name", nargs="?", default="")
    _add_caller(words)
    name = words.parse_known_args(arguments[1:])[0].name
    folder = found.releases / name
    return folder if releases.NAME.fullmatch(name) and _has_program(folder) else None


def _has_program(folder: Path) -> bool:
    return (folder / "deploy/vps/host/__main__.py").is_file()


def _add_caller(found: argparse.ArgumentParser) -> None:
    found.add_argument("--who")
    found.add_argument("--token")


def become(code: Path, arguments: list[str]) -> NoReturn:
    surroundings.forget()
    given = surroundings.variables() | {"PYTHONPATH": str(code)}
    # -P: a folder `deploy` where we were called from is not ours.
    command = [sys.executable, "-P", "-m", "deploy.vps.host", *arguments]
    os.execve(sys.executable, command, given)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
