"""`python -m deploy COMMAND`: parses, calls, prints; decides nothing."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

try:
    from deploy import check, smoke
    from deploy.docker import release, status
    from deploy.docker.stack import Stack
    from deploy.elasticbeanstalk import bundle
    from deploy.shell import Failed, finish_commands
    from deploy.targets import TARGETS
    from service.settings import ROOT
except ModuleNotFoundError as missing:
    sys.exit(f"{missing}: `make setup` installs it, for .venv/bin/python -m deploy")


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
    asked.add_argument("url", metavar="URL", help="https://api.example.com")
    asked.add_argument("--version", help="the COMMIT_SHA that it must say it is")
    packed = commands.add_parser("bundle", help="pack the last commit for Elastic Beanstalk")
    packed.add_argument("--stage", choices=bundle.STAGES, default="production")
    packed.add_argument(
        "--output", metavar="FILE", type=Path, help="a zip (.elasticbeanstalk/STAGE.zip)"
    )
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
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command: 0 ok, 1 failed, 2 usage."""
    found = parser().parse_args(arguments)
    try:
        if found.command == "check":
            folder = check.schemas_folder(found.schemas)
            return check.run(ROOT, found.target, folder, as_json=found.json)
        if found.command == "smoke":
            return smoke.run(found.url, found.version)
        if found.command == "bundle":
            bundle.make(ROOT, found.stage, found.output)
            return 0
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


if __name__ == "__main__":
    sys.exit(main())
