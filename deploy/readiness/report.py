"""`python -m deploy readiness`: asks each item, and prints what it comes to."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from deploy import check, readiness, smoke
from deploy.readiness.answers import Answer, failed
from deploy.readiness.subject import ONE_STAGE, READERS, Subject
from deploy.shell import Failed, say
from deploy.vps.servers import FILE
from service.environment import ROOT

WIDTH = 20  # of the longest name, and a space


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--target", choices=sorted(READERS), required=True, help="where it is to serve"
    )
    parser.add_argument("--stage", choices=("production", "staging"), default="production")
    parser.add_argument(
        "--url",
        type=smoke.address,
        help="https://api.example.com, to ask it too; with SMOKE_TOKEN in the environment: more",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=smoke.duration,
        default=20,
        help="for it to be ready, and for its job (%(default)s)",
    )
    parser.add_argument("--schemas", metavar="DIR", help="as of `check` (SLIPWAY_SCHEMAS)")
    parser.add_argument("--servers", metavar="FILE", default=FILE, help="of vps (%(default)s)")
    parser.add_argument("--ssh-config", metavar="FILE", type=Path, help="of vps: OpenSSH's")
    parser.add_argument("--json", action="store_true", help="for machines")


def main(found: argparse.Namespace, token: str | None) -> int:
    """0 if nothing fails, 1 if something does. The token is the service's SMOKE_TOKEN. Raises
    Failed."""
    if found.stage == "staging" and found.target in ONE_STAGE:
        raise Failed(f"{found.target} has no staging: it is another host, with its own settings")
    asked = _service(found, token) if found.url else None
    schemas = check.schemas_folder(found.schemas)
    subject = Subject(
        ROOT, found.target, found.stage, asked, schemas, found.servers, found.ssh_config
    )
    return run(subject, as_json=found.json)


def _service(found: argparse.Namespace, token: str | None) -> smoke.Service:
    scheme, host, port = found.url
    return smoke.Service(scheme, host, port, token=token, timeout=found.timeout)


def run(subject: Subject, *, as_json: bool) -> int:
    """Print a line for each item, and what to do; 1 if one fails."""
    found = []
    group = ""
    for heading, item, answer in look(subject):
        found.append((item, answer))
        if as_json:
            continue
        if heading != group:
            say(f"{heading}" if not group else f"\n{heading}")
            group = heading
        mark = "FAIL" if answer.verdict == "fail" else answer.verdict
        say(f"  {mark:8} {readiness.name(item):{WIDTH}} {answer.evidence}")
        if answer.todo:
            say(f"{'':{WIDTH + 12}}→ {answer.todo}")
    counts = {
        verdict: sum(answer.verdict == verdict for _, answer in found)
        for verdict in ("pass", "fail", "by hand")
    }
    if as_json:
        say(json.dumps([_plain(*each) for each in found], indent=2))
    else:
        said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        say(f"\n{said}: {subject.target}, {subject.stage}")
    return 1 if counts["fail"] else 0


def look(subject: Subject) -> Iterator[tuple[str, readiness.Item, Answer]]:
    """Each item with its heading; what cannot be read fails, and says why."""
    said: dict[str, readiness.Item] = {}  # what could not be read, and who said so first
    for heading, items in readiness.ITEMS.items():
        for item in items:
            yield heading, item, _answer(subject, item, said)


def _answer(subject: Subject, item: readiness.Item, said: dict[str, readiness.Item]) -> Answer:
    try:
        return item(subject)
    except Failed as failure:
        why = " ".join(str(failure).split())
        if (first := said.setdefault(why, item)) is not item:
            return failed(f"not looked at, as {readiness.name(first)}", "")
        return failed(why, "mend it: others are not looked at without it")
    except smoke.Wrong as wrong:
        return failed(str(wrong), "see that it serves: python -m deploy smoke URL")


def _plain(item: readiness.Item, answer: Answer) -> dict[str, str]:
    return {
        "item": readiness.name(item),
        "promise": readiness.promise(item),
        "verdict": answer.verdict,
        "evidence": answer.evidence,
        "todo": answer.todo,
    }
