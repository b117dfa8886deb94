"""`python -m deploy vps VERB`: parses, calls, prints; decides nothing."""

import argparse
import getpass
import re
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.shell import finish_uninterrupted, say
from deploy.vps import operate
from deploy.vps.scrape import scrape_configs
from deploy.vps.servers import FILE
from deploy.vps.settings import load
from deploy.vps.ssh import connected

ROOT = Path(__file__).resolve().parents[2]
_DURATION = {"s": 1, "m": 60, "h": 3600}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `python -m deploy vps` takes."""
    parser.add_argument(
        "--servers", metavar="FILE", default=FILE, help="which there are (%(default)s)"
    )
    parser.add_argument(
        "--ssh-config", metavar="FILE", type=Path, help="of OpenSSH, in the place of your own"
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, help: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=help, description=help)

    found = verb("provision", "make servers a home for the service; again: change what differs")
    found.add_argument("--dry-run", action="store_true", help="say what would change")
    found.add_argument("--update", action="store_true", help="the distribution's packages too")
    found.add_argument("--only", metavar="SERVER", help="one of them")
    found.add_argument("--yes", action="store_true", help="do not ask")
    found = verb("release", "have a commit serve, without a failed request")
    found.add_argument("ref", nargs="?", default="HEAD", metavar="REF", help="HEAD unless given")
    found.add_argument(
        "--canary",
        nargs="?",
        type=_seconds,
        const=300.0,
        default=0.0,
        metavar="DURATION",
        help="first on one server, and so long with the others waiting (5m)",
    )
    found = verb("rollback", "back to the release before, in seconds")
    found.add_argument(
        "release", nargs="?", metavar="RELEASE", help="one that `status` names, or its commit"
    )
    found = verb("status", "each server: what serves, since when, its health, what it lacks")
    found.add_argument("--json", action="store_true", help="for machines")
    verb("prometheus", "print what a Prometheus is to ask the servers")
    found = verb("logs", "what web, worker and scheduler say")
    found.add_argument("unit", nargs="*", help="web, worker, scheduler, migrate, nginx; all")
    found.add_argument("-f", "--follow", action="store_true", help="and what they will say")
    found.add_argument("-n", "--lines", type=int, default=50, help="(%(default)s)")
    _one(found, "all of them")
    found = verb("run", "a command in the release that serves, as the service's user")
    found.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND …")
    _one(found, "the first with web")
    _one(verb("console", "Python, with the application"), "the first with web")
    found = verb("env", "the service's variables")
    what = found.add_subparsers(dest="what", required=True, metavar="list|set|unset")
    listed = what.add_parser("list", help="names and values, no secrets")
    listed.add_argument("--json", action="store_true", help="for machines")
    given = what.add_parser("set", help="NAME=VALUE; NAME alone asks, or reads standard input")
    given.add_argument("pairs", nargs="+", metavar="NAME[=VALUE]")
    what.add_parser("unset", help="take away").add_argument("names", nargs="+", metavar="NAME")
    found = verb("backup", "save the database now")
    found.add_argument("--reason", default="by-hand", help="(%(default)s)")
    verb("backups", "those there are")
    found = verb("restore", "have the database as it was in a back-up; the one now is kept aside")
    found.add_argument("backup", metavar="BACKUP|latest")
    found.add_argument("--yes", action="store_true", help="do not ask")
    found = verb("restore-test", "restore into a scratch database, and compare")
    found.add_argument("backup", nargs="?", default="latest", metavar="BACKUP")
    found = verb("maintenance", "answer everything with 503 and Retry-After, but health")
    found.add_argument("what", choices=("on", "off", "status"))
    found = verb("balance", "take a server out of the balancer, or back in")
    found.add_argument("what", choices=("in", "out", "status"))
    found.add_argument("server", nargs="?", metavar="SERVER")
    found = verb("lock", "refuse releases, or allow them again")
    found.add_argument("what", choices=("on", "off", "status"))
    found.add_argument("why", nargs="?", default="", metavar="WHY")


def _one(parser: argparse.ArgumentParser, otherwise: str) -> None:
    parser.add_argument("--on", metavar="SERVER", help=f"by its name; {otherwise} unless given")


def main(words: Sequence[str]) -> int:
    """Run a verb: 0 ok, 1 failed, 2 usage, 130 interrupted. Raises Failed."""
    parser = argparse.ArgumentParser(prog="python -m deploy vps")
    add_arguments(parser)
    given = parser.parse_args(words)
    try:
        return _run(given)
    except KeyboardInterrupt:
        say("stopped; `vps status` says what serves now", sys.stderr)
        return 130


def _run(given: argparse.Namespace) -> int:
    fleet = load(ROOT, given.servers)
    if given.verb == "provision":
        # pyinfra brings gevent and paramiko: 0.5 s that no other verb is to wait for.
        from deploy.vps.provision import provision

        chosen = [operate.server(fleet, given.only)] if given.only else list(fleet.servers)
        return provision(
            fleet,
            chosen,
            given.ssh_config,
            dry_run=given.dry_run,
            update=given.update,
            sure=given.yes,
        )
    if given.verb == "prometheus":
        print(scrape_configs(fleet), end="")
        return 0
    finish_uninterrupted()
    with connected(given.ssh_config, fleet.servers) as ssh:
        operator = operate.Operator(ROOT, fleet, ssh, f"{getpass.getuser()}@{socket.gethostname()}")
        return VERBS[given.verb](operator, given)


VERBS: dict[str, Callable[[operate.Operator, argparse.Namespace], int]] = {
    "release": lambda o, given: o.release(given.ref, given.canary),
    "rollback": lambda o, given: o.rollback(given.release),
    "status": lambda o, given: o.status(as_json=given.json),
    "logs": lambda o, given: o.logs(given.unit, given.on, given.lines, follow=given.follow),
    "run": lambda o, given: o.run(given.words, given.on),
    "console": lambda o, given: o.console(given.on),
    "env": lambda o, given: _env(o, given),
    "backup": lambda o, given: o.at_database("backup", "--reason", given.reason),
    "backups": lambda o, given: o.backups(),
    "restore": lambda o, given: o.restore(given.backup, sure=given.yes),
    "restore-test": lambda o, given: o.at_database("restore-test", given.backup),
    "maintenance": lambda o, given: o.maintenance(given.what),
    "balance": lambda o, given: o.balance(given.what, given.server),
    "lock": lambda o, given: o.lock(given.what, given.why),
}


def _env(operator: operate.Operator, given: argparse.Namespace) -> int:
    if given.what == "list":
        return operator.env_list(as_json=given.json)
    if given.what == "unset":
        return operator.env_unset(given.names)
    return operator.env_set(given.pairs)


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d{1,4})([smh])", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: 30s, 5m, 1h")
    return float(found[1]) * _DURATION[found[2]]
