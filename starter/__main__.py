"""`python -m starter VERB`, as the Makefile calls it: parses, calls, prints; decides nothing."""

import argparse
import sys
from collections.abc import Callable, Sequence

from starter import update, verbs
from starter.refusal import Refused
from starter.repository import Repository


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m starter", description="Your own, of a clone.")
    all_ = found.add_subparsers(dest="verb", required=True, metavar="VERB")
    named = all_.add_parser("rename", help="give the product another name, in every place")
    named.add_argument("name", type=_given("NAME"), metavar="NAME")
    made = all_.add_parser("feature", help="write a feature: models, schemas, routes, tests")
    made.add_argument("name", type=_given("NAME"), metavar="NAME", help="a plural: orders")
    made.add_argument("singular", nargs="?", default="", help="if no rule gives it")
    left = all_.add_parser("remove-sample", help="take service/posts out, with what needs it")
    left.add_argument("--deployed", action="store_true", help="a database somewhere has its tables")
    gone = all_.add_parser("target-remove", help="take out a place that nobody deploys to")
    gone.add_argument("target", type=_given("TARGET"), metavar="TARGET")
    taken = all_.add_parser("update", help="take the template's later changes")
    taken.add_argument("--upstream", default="", help="its repository; is written down")
    taken.add_argument("--branch", default="", help="of it (its default)")
    taken.add_argument("--since", default="", help="its commit that this was made of, if unknown")
    taken.add_argument("--dry-run", action="store_true", help="list files, and change nothing")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb: 0 ok, 1 refused or in conflict, 2 usage."""
    given = parser().parse_args(arguments)
    try:
        repository = Repository()
        repository.refuse_dirty()
        repository.refuse_nobody()
        if given.verb == "update":
            return update.run(repository, given.upstream, given.branch, given.since, given.dry_run)
        verb = verbs.of(given)
        print("\n".join([*verbs.commit(repository, verb), "", verb.then]))
    except Refused as refused:
        print(f"{given.verb}: {refused}", file=sys.stderr)
        return 1
    return 0


def _given(what: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not text.strip():
            raise argparse.ArgumentTypeError(f"{what}=… is needed")
        return text.strip()

    return read


if __name__ == "__main__":
    sys.exit(main())
