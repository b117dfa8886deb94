"""What a target needs, and what of it is missing: `env -0 | python3 -m deploy.pipeline.needs fly`.

In CI this is asked first, before anything is installed: standard library only, and the variables
come on standard input, as `env -0` prints them. Values are looked at only for being there.
"""

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from deploy.pipeline.plan import STAGES, Needs
from deploy.pipeline.plans import PLANS

ROOT = Path(__file__).resolve().parents[2]
URL = "DEPLOY_URL"
TOKEN = "SMOKE_TOKEN"  # noqa: S105
EVERYWHERE = {URL: "where the stage is reached, which the smoke test asks"}


def missing(needs: Needs, environ: Mapping[str, str], signed_in: Callable[[], bool]) -> list[str]:
    """For somebody at a terminal: programs, variables, and signing in or what does it instead."""
    absent = [each for each in needs.programs if not shutil.which(each, path=environ.get("PATH"))]
    tokens = _unset(needs.secrets, environ)
    if needs.sign_in and (tokens or not needs.secrets):
        known = not absent and signed_in()
        tokens = [] if known else [" or ".join([*tokens, needs.sign_in])]
    programs = [f"the program {each}" for each in absent]
    return [*programs, *_unset(needs.variables, environ), *tokens]


def missing_in_ci(needs: Needs, environ: Mapping[str, str]) -> list[str]:
    """Programs are installed later, and nobody is signed in."""
    return [name for _, wanted in of_ci(needs) for name in _unset(wanted, environ)]


def of_ci(needs: Needs) -> Iterator[tuple[str, Mapping[str, str]]]:
    yield "variable", EVERYWHERE | dict(needs.variables) | dict(needs.ci_variables)
    yield "secret", dict(needs.secrets) | dict(needs.ci_secrets)


def said(target: str, stage: str, names: Sequence[str]) -> str:
    where = f"the environment {stage} of the repository, or the repository itself"
    return f"{target} needs {', '.join(names)}: set in {where} (docs/pipeline.md)"


def _unset(wanted: Mapping[str, str], environ: Mapping[str, str]) -> list[str]:
    return [name for name in wanted if not environ.get(name)]


def table() -> str:
    """docs/pipeline.md has it: what is set in each environment of the repository."""
    rows = ["| target | variables | secrets |", "|---|---|---|"]
    for target, plan in PLANS.items():
        kinds = dict(of_ci(plan.NEEDS))
        cells = [_cell(wanted, leave_out=EVERYWHERE) for wanted in kinds.values()]
        rows.append(f"| {target} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(wanted: Mapping[str, str], leave_out: Mapping[str, str]) -> str:
    found = [f"`{name}`: {what}" for name, what in wanted.items() if name not in leave_out]
    return "<br>".join(found) or "-"


def main(words: Sequence[str] | None = None) -> int:
    """0 if nothing is missing, else 1 with one line that names all of it; 2 usage."""
    parser = argparse.ArgumentParser(prog="python3 -m deploy.pipeline.needs", description=__doc__)
    parser.add_argument("target", metavar="TARGET", help=", ".join(PLANS))
    parser.add_argument("--stage", choices=STAGES, default="production")
    parser.add_argument("--known", action="store_true", help="only whether it is a target")
    given = parser.parse_args(words)
    if given.target not in PLANS:
        what = f"{given.target!r} is no target" if given.target else "DEPLOY_TARGET is not set"
        print(f"failed: {what}: it is one of {', '.join(PLANS)}", file=sys.stderr)
        return 2
    if given.known:
        return 0
    pairs = (each.partition("=") for each in sys.stdin.read().split("\0"))
    environ = {name: value for name, _, value in pairs}
    needs = PLANS[given.target].NEEDS
    if names := missing_in_ci(needs, environ):
        print(f"failed: {said(given.target, given.stage, names)}", file=sys.stderr)
        return 1
    if (file := needs.ci_files.get(given.stage)) and not (ROOT / file).is_file():
        print(f"failed: {given.target} needs {file}, to be committed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
