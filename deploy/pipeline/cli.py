"""`python -m deploy promote|rollback`: parses, calls, prints; decides nothing."""

import argparse
import getpass
import json
import re
import shlex
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from deploy import smoke
from deploy.pipeline import audit, needs
from deploy.pipeline.plan import STAGES, Release, typed
from deploy.pipeline.plans import PLANS
from deploy.pipeline.promote import FORMER, Session
from deploy.shell import CommandFailed, Failed, finish_commands, run, stop_when_told
from service.environment import ROOT, environment

WAIT = "DEPLOY_WAIT"
IMAGE = re.compile(r"[\w][\w.:/@-]*")  # without what sed or a shell would take for its own


def add_arguments(commands: Any) -> None:
    """Of argparse's subparsers, what this file runs."""
    for verb, help in {
        "promote": "have a version serve, with the target's own commands; back if it fails",
        "rollback": "back to the version before, with the target's own commands",
    }.items():
        found = commands.add_parser(verb, help=help, description=help)
        found.add_argument("target", choices=PLANS, metavar="TARGET", help=", ".join(PLANS))
        found.add_argument("--stage", choices=STAGES, default="production", help="(%(default)s)")
        found.add_argument("--url", help=f"where the smoke test asks ({needs.URL})")
        found.add_argument(
            "--wait",
            type=smoke.duration,
            metavar="SECONDS",
            help=f"for it to answer ({WAIT}; by target)",
        )
        found.add_argument("--dry-run", action="store_true", help="print the commands")
        found.add_argument("--json", action="store_true", help="for machines")
        found.add_argument("--log", type=Path, help=f"who did what ({audit.FILE})")
    found = commands.choices["rollback"]
    found.add_argument("--to", metavar="VERSION", help="one that the target names so")
    found = commands.choices["promote"]
    found.add_argument("--commit", default="HEAD", metavar="REF", help="(%(default)s)")
    found.add_argument("--image", type=_image, help="of that commit, where a target takes one")
    found.add_argument("--first", action="store_true", help="nothing serves there yet")


def main(words: Sequence[str]) -> int:
    """Run a verb: 0 ok, 2 usage, 130 interrupted. Raises Failed."""
    parser = argparse.ArgumentParser(prog="python -m deploy")
    add_arguments(parser.add_subparsers(dest="command", required=True))
    try:
        return _run(parser.parse_args(words))
    except KeyboardInterrupt:
        print("stopped; nothing has changed", file=sys.stderr)
        return 130


def _run(given: argparse.Namespace) -> int:
    log = given.log or ROOT / audit.FILE
    environ = environment()
    url = given.url or environ.get(needs.URL)
    try:
        if url:
            smoke.address(url)
        wait = given.wait or (smoke.duration(environ[WAIT]) if environ.get(WAIT) else None)
        release = _release(given)
    except argparse.ArgumentTypeError as error:
        print(f"python -m deploy {given.command}: {error}", file=sys.stderr)
        return 2
    if given.dry_run:
        _print(given, release)
        return 0
    _refuse_missing(given.target, release, environ)
    with tempfile.TemporaryDirectory(prefix="deploy-") as folder:
        plan = PLANS[given.target]
        known = {name: environ[name] for name in plan.NEEDS.variables} | {"FOLDER": folder}
        user = f"{getpass.getuser()}@{socket.gethostname()}"
        entry = audit.Log(log, audit.who(environ, user), given.target, release.stage)
        patience = wait or plan.NEEDS.patience
        session = Session(plan, release, ROOT, environ, entry, url, patience, known)
        finish_commands()
        stop_when_told()
        try:
            # For machines, standard output has the log's lines alone.
            with redirect_stdout(sys.stderr if given.json else sys.stdout):
                if given.command == "promote":
                    session.promote(first=given.first)
                else:
                    session.rollback(given.to)
        except KeyboardInterrupt:
            if not entry.written:
                raise
            back = ["python", "-m", "deploy", "rollback", given.target, "--stage", release.stage]
            to = session.known.get(FORMER)  # the version before, whatever serves now
            back += ["--to", to] if to else []
            print(f"stopped, perhaps half-way. Back: {shlex.join(back)}", file=sys.stderr)
            return 130
        finally:
            if given.json:
                done = [each for each in entry.written if each["result"] != "begun"]
                print(json.dumps(done))
    return 0


def _release(given: argparse.Namespace) -> Release:
    """Raises Failed, and ArgumentTypeError for what the target does not take."""
    if given.command == "rollback":
        return Release(given.stage, commit="")
    plan = PLANS[given.target]
    if given.image and plan.NEEDS.image == "never":
        raise argparse.ArgumentTypeError(f"--image: {given.target} builds commits itself")
    if plan.NEEDS.image == "must" and not given.image:
        raise argparse.ArgumentTypeError(f"{given.target} takes an image: --image")
    commit = _commit(given.commit)
    if (why := plan.NEEDS.only) and not given.image and commit != _commit("HEAD"):
        raise Failed(f"{given.target}: {why}; git checkout {commit} first")
    return Release(given.stage, commit, given.image)


def _commit(ref: str) -> str:
    words = ["git", "-C", str(ROOT), "rev-parse", "--verify", "--quiet", "--end-of-options"]
    try:
        return run([*words, f"{ref}^{{commit}}"]).strip()
    except CommandFailed:
        raise Failed(f"{ref} is no commit here: fetch it, or name another (--commit)") from None


def _print(given: argparse.Namespace, release: Release) -> None:
    plan = PLANS[given.target]
    back = plan.back(release)
    if given.command == "promote":
        blocks = [[*plan.look(release), *plan.promote(release)], back]
    else:
        blocks = [[*plan.before(release), *back]]
    if given.json:
        print(json.dumps([[list(each.words) for each in block] for block in blocks]))
        return
    print("\n\n# Back, if that or its smoke test fails:\n".join(map(typed, blocks)))


def _refuse_missing(target: str, release: Release, environ: Mapping[str, str]) -> None:
    wanted = PLANS[target].NEEDS

    def signed_in() -> bool:
        words = [release.app if word == "$APP" else word for word in wanted.signed_in]
        try:
            run(words, env=environ, timeout=60)
        except Failed:
            return False
        return True

    if found := needs.missing(wanted, environ, signed_in):
        raise Failed(f"{target} needs {', '.join(found)}; nothing has changed")


def _image(text: str) -> str:
    if not IMAGE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of an image")
    return text
