"""What a platform's own tools are asked for: commands as lists, and what is read of their answers.

Only the standard library: CI asks what is missing before anything is installed.
"""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from string import Template
from typing import Literal, Protocol

from deploy.shell import Failed

Stage = Literal["production", "staging"]
STAGES: tuple[Stage, ...] = ("production", "staging")
APP = "slipway"
OURS = (".venv/bin/python", "-m", "deploy")  # of `make setup`

Known = Mapping[str, str]  # what is put in the place of $NAME
GONE = "GONE"  # in a rollback by hand: what the log says was gone back from, a line each


@dataclass(frozen=True)
class Release:
    """What is to serve, and where."""

    stage: Stage
    commit: str
    image: str | None = None  # built already, for a platform that takes one

    @property
    def app(self) -> str:
        return APP if self.stage == "production" else f"{APP}-{self.stage}"


@dataclass(frozen=True)
class Found:
    """$NAME in later commands: what of the answer, for people, and how it is read. A reader gives
    "" if it is not there, and raises ValueError or LookupError for an answer of another form."""

    name: str
    what: str
    read: Callable[[str, Known], str] = lambda said, _: said.strip()
    beside: tuple[str, ...] = ()  # names that the reader looks up


@dataclass(frozen=True)
class Until:
    """A command is asked again until its answer says so: what for, for people, and how it is read.
    A reader raises Failed for what does not come about any more."""

    what: str
    read: Callable[[str, Known], bool]


@dataclass(frozen=True)
class Command:
    """One call of a program; $NAME in it is what an earlier one found."""

    words: tuple[str, ...]
    finds: tuple[Found, ...] = ()
    given: str = ""  # its standard input; $NAME is a variable, and never printed
    writes: str = ""  # the file that its answer goes to
    until: Until | None = None
    turns: bool = False  # if this fails, or what follows it, both versions may serve: we go back

    def printed(self) -> str:
        """As somebody would type it."""
        line = " ".join(map(_quoted, self.words))
        if self.given:
            line = f"echo {_quoted(self.given)} | {line}"
        if self.writes:
            line += f" >{_quoted(self.writes)}"
        notes = [f"{each.name}: {each.what}" for each in self.finds]
        noted = "; ".join([*notes, *([f"until {self.until.what}"] if self.until else [])])
        return f"{line}    # {noted}" if noted else line

    def spelt(self, known: Known) -> list[str]:
        """With what was found. Raises Failed for what was not."""
        return [filled(word, known) for word in self.words]

    def wants(self) -> set[str]:
        """What must have been found before."""
        names = [name for text in (*self.words, self.writes) for name in names_in(text)]
        return {*names, *(name for each in self.finds for name in each.beside)}


def typed(commands: Sequence[Command]) -> str:
    """All of it, to be typed at the root of the repository."""
    lines = [each.printed() for each in commands]
    folder = ["FOLDER=$(mktemp -d)"] if any("FOLDER" in names_in(each) for each in lines) else []
    return "\n".join([*folder, *lines])


class _Names(Template):
    """$NAME in capitals: what is written small, in GraphQL, is none of ours."""

    idpattern = r"(?a:[A-Z][A-Z0-9_]*)"
    flags = re.NOFLAG


def names_in(text: str) -> list[str]:
    return _Names(text).get_identifiers()


def filled(text: str, known: Known) -> str:
    for name in names_in(text):
        if not known.get(name):
            raise Failed(f"{name} was not found")
    return _Names(text).safe_substitute(known)


def _quoted(word: str) -> str:
    if names_in(word):
        return '"{}"'.format(re.sub(r'(["\\`])', r"\\\1", word))
    return shlex.quote(word)


@dataclass(frozen=True)
class Needs:
    """What must be there before anything is touched."""

    programs: tuple[str, ...]
    secrets: Mapping[str, str] = field(default_factory=dict)  # but for who is signed in
    variables: Mapping[str, str] = field(default_factory=dict)
    signed_in: tuple[str, ...] = ()  # a command that succeeds for who is; $APP is the app
    sign_in: str = ""  # what to do for it
    ci_secrets: Mapping[str, str] = field(default_factory=dict)  # where nobody has signed in
    ci_variables: Mapping[str, str] = field(default_factory=dict)
    image: Literal["never", "may", "must"] = "never"  # is one built before, that it is given
    only: str = ""  # why no other commit than HEAD can be promoted, but by its image
    ci_files: Mapping[str, str] = field(default_factory=dict)  # by stage, to be in the repository
    patience: int = 180  # seconds until a new version answers, when its tool has ended


class Plan(Protocol):
    """deploy/<target>/commands.py."""

    NEEDS: Needs

    def look(self, release: Release) -> list[Command]:
        """What serves now, for the way back."""

    def promote(self, release: Release) -> list[Command]: ...

    def before(self, release: Release) -> list[Command]:
        """What served before what serves now: the same names as `look` finds."""

    def back(self, release: Release) -> list[Command]:
        """To what one of these has found."""
