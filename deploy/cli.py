"""The commands of `python -m deploy`, but for `vps`: parses, calls, prints; decides nothing."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy import check, env, smoke
from deploy.docker import release, status
from deploy.docker.stack import Stack
from deploy.elasticbeanstalk import bundle  # target: elasticbeanstalk
from deploy.load import cli as load
from deploy.pipeline import audit
from deploy.pipeline import cli as pipeline
from deploy.readiness import report
from deploy.shell import Failed, finish_commands
from deploy.targets import TARGETS
from deploy.vps import cli as vps  # target: vps
from service.environment import ROOT, environment


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m deploy", description="What an operator does.")
    commands = found.add_subparsers(dest="command", required=True, metavar="COMMAND")
    held = commands.add_parser("check", help="hold each platform's manifest against the settings")
    held.add_argument("target", nargs="*", type=_target, help=f"of {', '.join(TARGETS)}; all")
    held.add_argument(
        "--schemas", metavar="DIR", help="JSON Schemas of manifests (SLIPWAY_SCHEMAS)"
    )
    held.add_argument("--json", action="store_true", help="for machines")
    asked = commands.add_parser("smoke", help="ask a running service what it must answer")
    smoke.add_arguments(asked)
    load.add_arguments(commands.add_parser("load", help="how much a running service bears"))
    told = commands.add_parser("env", help="what must be set by hand there, as its CLI's commands")
    told.add_argument("target", choices=sorted(env.SPELT), metavar="TARGET", help="%(choices)s")
    told.add_argument("--stage", choices=("production", "staging"), default="production")
    where = told.add_mutually_exclusive_group()
    where.add_argument(
        "--file", type=Path, help="for the values, mode 0600 (default: .env.TARGET.STAGE)"
    )
    where.add_argument(
        "--print", action="store_true", help="write the values out, in the commands: no file"
    )
    # target: elasticbeanstalk
    packed = commands.add_parser("bundle", help="pack the last commit for Elastic Beanstalk")
    packed.add_argument("--stage", choices=bundle.STAGES, default="production")
    packed.add_argument(
        "--output", metavar="FILE", type=Path, help="a zip (.elasticbeanstalk/STAGE.zip)"
    )
    # end of target: elasticbeanstalk
    listed = commands.add_parser("readiness", help="the production checklist, looked at")
    report.add_arguments(listed)
    pipeline.add_arguments(commands)
    audit.add_arguments(commands.add_parser("log", help="who promoted or rolled back what"))
    docker = commands.add_parser("docker", help="release on one host with Docker")
    verbs = docker.add_subparsers(dest="verb", required=True, metavar="VERB")
    one = verbs.add_parser("release", help="migrate, start the other colour, try it, switch")
    one.add_argument(
        "image", metavar="IMAGE", type=_named, help="registry.example.com/slipway:1a2b3c4"
    )
    one.add_argument("--replicas", type=_count, help="containers of web (as many as serve now)")
    one.add_argument(
        "--wait", type=_count, default=90, help="seconds to get ready in, at most (%(default)s)"
    )
    verbs.add_parser("rollback", help="back to the colour that served before, in seconds")
    verbs.add_parser("status", help="what serves, what ran before, who released it")
    linted = commands.add_parser(
        "lint-migrations", help="what would hold up or break what serves while revisions run"
    )
    which = linted.add_mutually_exclusive_group()
    which.add_argument("--since", metavar="COMMIT", help="revisions new or other than there")
    which.add_argument("--all", action="store_true", help="all revisions (the default)")
    linted.add_argument("--json", action="store_true", help="for machines")
    # target: vps
    servers = commands.add_parser("vps", help="servers of your own: provision, release, go back")
    vps.add_arguments(servers)
    # end of target: vps
    return found


def main(arguments: Sequence[str]) -> int:
    """Run a command: 0 ok, 1 failed, 2 usage."""
    found = parser().parse_args(arguments)
    try:
        if found.command == "check":
            folder = check.schemas_folder(found.schemas)
            return check.run(ROOT, found.target, folder, as_json=found.json)
        if found.command == "env":
            file = found.file or Path(f".env.{found.target}.{found.stage}")
            return env.run(ROOT, found.target, found.stage, None if found.print else file)
        if found.command == "smoke":
            return smoke.main(found, environment().get("SMOKE_TOKEN"))
        if found.command == "load":
            return load.main(found)
        if found.command == "readiness":
            return report.main(found, environment().get("SMOKE_TOKEN"))
        # target: elasticbeanstalk
        if found.command == "bundle":
            bundle.make(ROOT, found.stage, found.output)
            return 0
        # end of target: elasticbeanstalk
        if found.command == "lint-migrations":
            from deploy.migrations import lint  # with Alembic 0.3 s, which no other verb needs

            return lint.run(ROOT, found.since, as_json=found.json)
        stack = Stack()
        finish_commands()
        if found.verb == "release":
            release.release(stack, found.image, found.replicas, found.wait)
        elif found.verb == "rollback":
            release.rollback(stack)
        else:
            status.status(stack)
    except Failed as failure:
        print(f"failed: {failure}", file=sys.stderr)
        if "no space left on device" in str(failure).lower():
            print("The host's disk is full: docker system df says of what.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        if found.command != "docker":
            return 130
        print(
            "stopped. What serves goes on; `status` says what that is. The next release finds its"
            " way from here, and is needed for what was not done, workers too",
            file=sys.stderr,
        )
        return 130
    return 0


def _target(text: str) -> str:
    if text not in TARGETS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(TARGETS)}")
    return text


def _named(text: str) -> str:
    if not text.strip() or text.startswith("-"):
        raise argparse.ArgumentTypeError("the name of an image is needed")
    return text


def _count(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 1000):
        raise argparse.ArgumentTypeError("a number from 1 to 999 is needed")
    return int(text)
