"""`python -m deploy lint-migrations`: whether a release may run these revisions while the one
before it serves. docs/migrations.md says what to write instead."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from alembic.script import Script as Revision

from deploy.manifest import Finding
from deploy.migrations import advice, revisions, rules, squawk
from deploy.migrations.script import NotRendered, Script, Statement, render
from deploy.reading import Place


@dataclass(frozen=True)
class Refused(Finding):
    """What a revision may not do, and the statement that does it."""

    statement: str = ""

    def __str__(self) -> str:
        text = " ".join(self.statement.split())
        shown = f"\n    {text if len(text) <= 200 else f'{text[:199]}…'}" if text else ""
        return f"{self.place}: {self.rule}: {self.what}{shown}\n    instead: {self.todo}"


def run(root: Path, since: str | None, *, as_json: bool) -> int:
    """Print what is refused; 1 if that is anything."""
    scripts = revisions.read(root)
    chosen = scripts if since is None else revisions.since(root, since, scripts)
    found = [each for script in chosen for each in look(root, script, since)]
    if as_json:
        print(json.dumps([_plain(each) for each in found], indent=2))
        return 1 if found else 0
    for each in found:
        print(f"{each}\n")
    counted = f"{len(chosen)} of {len(scripts)} revisions looked at"
    print(f"{len(found)} refused; {counted}" if found else f"nothing refused; {counted}")
    if found:
        print("docs/migrations.md: how a change is made in steps, and what a revision may say")
    return 1 if found else 0


def look(root: Path, revision: Revision, since: str | None = None) -> list[Refused]:
    """What is refused of one revision, after what it says for itself."""
    path = Path(revision.path)
    source = path.read_text()
    said = revisions.words(source)
    contract = any(word.rule is None and word.reason for word in said)
    allowed = {word.rule for word in said if word.rule and word.reason}
    name = path.relative_to(root).as_posix()
    found = [*_found(path, name, revision, source), *_changed(root, path, name, source, since)]
    needed = {each.rule for each in found}
    refused = [
        each
        for each in found
        if each.rule not in allowed and not (contract and each.rule in advice.BREAKS)
    ]
    return [*refused, *_of_words(name, said, needed)]


def _found(path: Path, name: str, revision: Revision, source: str) -> Iterator[Refused]:
    asking = revisions.asks_a_database(source)
    for line in asking:
        what = "It asks a database, so nobody can see beforehand what it does."
        yield _refused("needs-a-database", Place(name, line), what)
    try:
        script = render(path, revision.module.upgrade)
    except NotRendered as error:
        if not asking:
            what = f"It cannot be written down as SQL: {error}."
            yield _refused("needs-a-database", Place(name, error.line), what)
        return
    yield from in_script(script, name)


def in_script(script: Script, name: str) -> Iterator[Refused]:
    """What statements do to a live table and to the release before."""
    statements = list(script.statements())
    made = rules.tables_made(statements)
    added, empty = rules.columns_added(statements)
    for each in squawk.ask(script.sql):
        if each.rule == "ban-new-write-restriction":
            plain = script.plain[each.start : each.end]
            if rules.is_of_new_columns(plain, added, empty):
                continue
        statement = _at(statements, each.start)
        place = Place(name, script.line(each.start))
        yield _refused(each.rule, place, each.message, statement, each.advice)
    for one in statements:
        for rule, what in rules.ours(one, made):
            yield _refused(rule, Place(name, one.line), what, one)
    if "squawk-" in script.sql:
        place = Place(name, script.line(script.sql.index("squawk-")))
        yield _refused("squawk-comment", place, "A comment in SQL silences the lint.")


def _at(statements: list[Statement], start: int) -> Statement | None:
    return next((each for each in reversed(statements) if each.start <= start), None)


def _refused(
    rule: str,
    place: Place,
    what: str,
    statement: Statement | None = None,
    said: str | None = None,
) -> Refused:
    if rule in advice.BREAKS:
        todo = f"{advice.BREAKS[rule]}. If that is done: # contract: REASON"
    else:
        instead = advice.INSTEAD.get(rule) or said or f"https://squawkhq.com/docs/{rule}"
        todo = f"{instead.rstrip('.')}. If it must be: # lint allows {rule}: REASON"
    return Refused(rule, place, what, todo, statement=statement.text if statement else "")


def _changed(
    root: Path, path: Path, name: str, source: str, since: str | None
) -> Iterator[Refused]:
    """Since a commit, in what it does."""
    before = revisions.at(root, since, path) if since else None
    if before is not None and not revisions.does_the_same(before, source):
        what = f"It is not what it was at {since}."
        yield _refused("changed-revision", Place(name, 1), what)


def _of_words(name: str, said: list[revisions.Word], needed: set[str]) -> Iterator[Refused]:
    """What is wrong with what a revision says for itself."""
    for word in said:
        place = Place(name, word.line)
        if not word.reason:
            yield Refused("no-reason", place, "It does not say why.", advice.WRONG["no-reason"])
        elif word.rule and word.rule not in needed and word.rule != "changed-revision":
            what = f"Nothing here breaks {word.rule}."
            yield Refused("no-such-finding", place, what, advice.WRONG["no-such-finding"])


def _plain(found: Refused) -> dict[str, object]:
    return {
        "file": found.place.file,
        "line": found.place.line,
        "rule": found.rule,
        "what": found.what,
        "statement": found.statement,
        "instead": found.todo,
    }
