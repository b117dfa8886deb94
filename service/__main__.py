"""`python -m service COMMAND`: what a process of the service does."""

import argparse
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

ROOT = Path(__file__).resolve().parent.parent

Command = Callable[[argparse.Namespace], int | None]


def web(_: argparse.Namespace) -> None:
    """serve HTTP (gunicorn; its settings are in gunicorn.conf.py)"""
    from gunicorn.app.wsgiapp import run

    sys.argv = ["gunicorn", "--config", str(ROOT / "gunicorn.conf.py"), "service.wsgi:app"]
    run()


def worker(arguments: argparse.Namespace) -> int:
    """run jobs (processes: WORKER_CONCURRENCY)"""
    import tempfile

    from service.environment import share_metrics
    from service.settings import Settings

    settings = Settings.load()
    with tempfile.TemporaryDirectory(prefix="service-metrics-", ignore_cleanup_errors=True) as name:
        share_metrics(name)
        from service import worker

        return worker.run(settings, arguments.queues)


def scheduler(_: argparse.Namespace) -> int:
    """hand over jobs that were left, and start the recurring ones; of several, one acts"""
    from service import scheduler
    from service.settings import Settings

    return scheduler.run(Settings.load())


def jobs(arguments: argparse.Namespace) -> int:
    """look at jobs, try them again, discard them"""
    from sqlalchemy.exc import DBAPIError

    from service.app import create_app
    from service.jobs import cli
    from service.settings import Settings

    try:
        return cli.run(create_app(Settings.load(), "jobs"), arguments)
    except DBAPIError as error:
        return _failed("jobs", f"the database said: {error.orig}")


def migrate(arguments: argparse.Namespace) -> int:
    """bring the database's schema up to the code"""
    from sqlalchemy.exc import DBAPIError

    from service import logs, migrations
    from service.settings import Settings

    settings = Settings.load()
    logs.configure(settings)
    try:
        if arguments.pending:
            print("".join(f"{each}\n" for each in migrations.pending(settings)), end="")
        else:
            migrations.migrate(settings)
    except migrations.MigrationError as error:
        return _failed("migrate", str(error))
    except DBAPIError as error:
        return _failed("migrate", f"the database said: {error.orig}")
    return 0


def settings(arguments: argparse.Namespace) -> None:
    """check the environment alone: what is wrong with it, all at once"""
    from service.settings import Settings

    found = Settings.load(arguments.dotenv)
    if not arguments.json:
        print(f"The environment is valid: {len(Settings.model_fields)} variables.")
        return
    from service import doctor  # which looks at all the rest too

    doctor.show(found)


def doctor(arguments: argparse.Namespace) -> int:
    """show the effective configuration and the state of what it points to"""
    from service import doctor
    from service.settings import Settings

    return doctor.run(Settings.load(), arguments.forwarded_for, arguments.peer, arguments.json)


def connections(arguments: argparse.Namespace) -> int:
    """work out how many connections to the database all processes may open"""
    from service import budget
    from service.settings import Settings

    counts = (arguments.web, arguments.worker, arguments.scheduler)
    return budget.run(Settings.load(), *counts)


def healthcheck(arguments: argparse.Namespace) -> int:
    """exit 0 if a process on this machine is healthy"""
    from service import healthcheck

    return healthcheck.run(None, arguments.process)


def seed(_: argparse.Namespace) -> int:
    """write demo data, once (development only)"""
    from sqlalchemy.exc import DBAPIError

    from service import demo
    from service.app import create_app
    from service.settings import Settings

    settings = Settings.load()
    try:
        demo.seed(create_app(settings, "seed"), settings)
    except demo.Refused as refusal:
        return _failed("seed", str(refusal))
    except DBAPIError as error:
        hint = ". Run `python -m service migrate` first" if _lacks_a_table(error) else ""
        return _failed("seed", f"the database said: {error.orig}{hint}")
    return 0


def _lacks_a_table(error: Any) -> bool:
    return getattr(error.orig, "sqlstate", None) == "42P01"


def migration(arguments: argparse.Namespace) -> int:
    """write a revision of what the models have and the schema has not (development only)"""
    from alembic.util import CommandError

    from service import devserver, revision

    try:
        if not revision.write(arguments.message):
            return _failed("migration", "the schema has all that the models have: nothing written")
    except (CommandError, devserver.ServerError) as error:
        return _failed("migration", str(error))
    return 0


def _failed(command: str, message: str) -> int:
    print(f"{command}: {' '.join(message.split())}", file=sys.stderr)
    return 1


def dev(arguments: argparse.Namespace) -> int:
    """run everything on this machine, with PostgreSQL and Redis out of wheels"""
    from service import dev

    if arguments.command_beside:
        return dev.run_beside(ROOT, arguments.command_beside)
    return dev.run(ROOT)


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError("a number from 1 on is needed")
    return int(text)


def _message(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError('say what it does: make migration m="add things"')
    return text


def _queues(text: str) -> tuple[str, ...]:
    from service.queue import QUEUES

    names = tuple(name.strip() for name in text.split(","))
    if unknown := [name for name in names if name not in QUEUES]:
        raise argparse.ArgumentTypeError(
            f"there is no queue {unknown[0]!r}: they are {', '.join(QUEUES)}"
        )
    return names


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    commands = found.add_subparsers(metavar="COMMAND", required=True)

    def add(command: Command) -> argparse.ArgumentParser:
        each = commands.add_parser(
            command.__name__, help=command.__doc__, description=command.__doc__
        )
        each.set_defaults(command=command)
        return each

    add(web)
    add(worker).add_argument(
        "--queues", type=_queues, metavar="LIST", help="take from these only, in this order"
    )
    for command in (scheduler, seed):
        add(command)
    add(migrate).add_argument(
        "--pending", action="store_true", help="only print the revisions that it would run"
    )
    checked = add(settings)
    checked.add_argument("--json", action="store_true", help="what is in force, for machines")
    checked.add_argument(
        "--dotenv", metavar="FILE", type=Path, default=ROOT / ".env", help="instead of .env"
    )
    add(dev).add_argument(
        "command_beside",
        metavar="COMMAND …",
        nargs=argparse.REMAINDER,
        help="instead: run a command beside `make dev`, with its database and Redis: dev jobs list",
    )
    _add_verbs(add(jobs))
    add(migration).add_argument("message", type=_message, help='what it does, such as "add things"')
    counted = add(connections)
    for name in ("web", "worker", "scheduler"):
        text = f"instances of {name}: containers, dynos, machines (%(default)s)"
        counted.add_argument(f"--{name}", type=_positive, metavar="N", default=1, help=text)
    check = add(healthcheck)
    which = ("web", "worker", "scheduler")
    check.add_argument(
        "process", nargs="?", choices=which, help="default: what runs here, for a container"
    )
    about = add(doctor)
    about.add_argument("--json", action="store_true", help="for machines")
    about.add_argument(
        "--forwarded-for",
        metavar="LIST",
        default="203.0.113.7",
        help="an X-Forwarded-For header to read the client's address from (%(default)s)",
    )
    about.add_argument(
        "--peer", metavar="ADDRESS", default="10.0.0.1", help="who connects (%(default)s)"
    )
    return found


def _add_verbs(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="the newest jobs, those that failed unless told")
    statuses = ("queued", "running", "retrying", "succeeded", "failed", "all")
    listing.add_argument("--status", choices=statuses, default="failed")
    listing.add_argument("--limit", type=_positive, default=50)
    listing.add_argument("--function", metavar="NAME", help="only of this one: users.jobs.welcome")
    verbs.add_parser("show", help="all that is known of a job").add_argument(
        "id", type=UUID, nargs="+"
    )
    for verb, about in (
        ("retry", "try jobs that failed again, with all their attempts"),
        ("discard", "delete jobs that failed or wait, for good"),
    ):
        which = verbs.add_parser(verb, help=about).add_mutually_exclusive_group(required=True)
        which.add_argument("id", type=UUID, nargs="*", default=[])
        which.add_argument("--function", metavar="NAME", help="all of this function that failed")


def main(arguments: list[str] | None = None) -> int:
    """Run a command: 0 ok, 1 failed, 2 usage."""
    found = parser().parse_args(arguments)
    # While modules are imported it looks at all of them again and again, for a tenth of each
    # start. What runs for long turns it on: gunicorn.conf.py, worker.py, scheduler.py, dev.py.
    gc.disable()
    try:
        return found.command(found) or 0
    except KeyboardInterrupt:
        return 130  # as a shell has it: 128 and the number of SIGINT
    except Exception as error:
        from service.sources import SettingsError

        if not isinstance(error, SettingsError):
            raise
        print(error, file=sys.stderr)
        return 1
    finally:
        gc.enable()


if __name__ == "__main__":
    sys.exit(main())
