"""The verbs that change the clone by one commit, and what each says when it is done."""

import argparse
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from starter import feature, record, sample, target
from starter.names import Name
from starter.rename import rename
from starter.repository import Repository
from starter.tree import Tree

BACK = "`git reset --hard HEAD~1` takes it back."
RENAMED = """The name of the folder and of the repository is yours to change, and so is what the
product is: README's first lines, `description` in pyproject.toml, CHANGELOG.md. LICENSE says whose
the template is. What runs already, on servers or platforms, keeps its old name there."""
FEATURE = """service/{noun} is yours to change. `.venv/bin/python -m service dev migrate` beside
`make dev` makes its table. Then `make check test`."""
SAMPLE = """Gone with it: its tests, and of `make bench` what asks for it (read, list, insert,
enqueue, bench.keepalive, peers). All else that puts load on it, tests/chaos and tests/deploy,
asks for accounts from now on; tests/chaos/traffic.py is where a feature of yours may stand.
Next: rm -rf .dev, whose database has its tables. If a server has run the sample, take this back,
and: make remove-sample DEPLOYED=1"""
DEPLOYED = """The sample's revision stays, and a new one drops its tables, with all that is in them,
at the next `migrate`. The version before still serves then, and misses them: at a quiet hour."""


class Verb(NamedTuple):
    message: str  # of the commit
    work: Callable[[Tree], object]
    then: str  # what its caller is told


def of(given: argparse.Namespace) -> Verb:
    """Raises Refused for a name that is none."""
    if given.verb == "rename":
        name = Name(given.name)
        return Verb(f"The product is called {name.plain}", lambda tree: rename(tree, name), RENAMED)
    if given.verb == "feature":
        noun = feature.noun(given.name, given.singular)
        then = FEATURE.format(noun=noun.plural)
        return Verb(f"A feature: {noun.plural}", lambda tree: feature.add(tree, noun), then)
    if given.verb == "remove-sample":
        then = DEPLOYED if given.deployed else SAMPLE
        return Verb("The sample leaves", partial(sample.remove, deployed=given.deployed), then)
    name = given.target
    return Verb(f"{name} leaves", lambda tree: target.remove(tree, name), target.then(name))


def commit(repository: Repository, verb: Verb) -> list[str]:
    """Do it; one line for each file. Raises Refused, with nothing changed."""
    with repository.tree() as tree:
        verb.work(tree)
        if not record.read(tree).commit:
            record.write(tree, commit=repository.git("rev-parse", "HEAD"))
        made = repository.commit(tree, verb.message, "HEAD")
    changes = repository.changes("HEAD", made)
    repository.advance(made)
    return [*changes, "", f"{verb.message}: {len(changes)} files, one commit. {BACK}"]
