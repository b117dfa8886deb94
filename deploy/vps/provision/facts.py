"""What is so on a server now: read in one command each, since each costs a round trip.

A fact that cannot be read because its program is not installed yet is empty, not a failure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pyinfra.api.command import QuoteString, StringCommand
from pyinfra.api.facts import FactBase

PENDING = "/run/slipway-provision"  # files named for units that have yet to take up a change


@dataclass(frozen=True)
class Found:
    """A path: kind is find's letter (f, d, l), mode octal, digest a file's."""

    kind: str
    mode: str
    owner: str
    group: str
    digest: str = ""


class Paths(FactBase[dict[str, Found]]):
    @staticmethod
    def default() -> dict[str, Found]:
        return {}

    def command(self, paths: Sequence[str]) -> StringCommand:
        look = ["find", *paths, "-maxdepth", "0", "-printf", r"%y\t%m\t%u\t%g\t%p\n"]
        # Of files only: what is read is no link of whoever owns the folder, and no pipe.
        read = ["find", *paths, "-maxdepth", "0", "-type", "f"]
        return quietly(look, [*read, "-exec", "sha256sum", "--", "{}", "+"])

    def process(self, output: Iterable[str]) -> dict[str, Found]:
        found: dict[str, Found] = {}
        for line in output:
            if line.count("\t") == 4:
                *about, path = line.split("\t")
                found[path] = Found(*about)
            else:
                digest, _, path = line.partition("  ")
                if path in found:
                    found[path] = replace(found[path], digest=digest)
        return found


class Below(FactBase[set[str]]):
    """The files below folders, except compiled ones."""

    @staticmethod
    def default() -> set[str]:
        return set()

    def command(self, folders: Sequence[str]) -> StringCommand:
        return quietly(["find", *folders, "-type", "f", "-not", "-name", "*.pyc"])

    def process(self, output: Iterable[str]) -> set[str]:
        return set(output)


class Packages(FactBase[set[str]]):
    """Those of `names` that are installed."""

    @staticmethod
    def default() -> set[str]:
        return set()

    def command(self, names: Sequence[str]) -> StringCommand:
        form = r"${db:Status-Status} ${Package}\n"
        return quietly(["dpkg-query", "-W", "-f", form, *names])

    def process(self, output: Iterable[str]) -> set[str]:
        return {name for status, _, name in map(_words, output) if status == "installed"}


class Units(FactBase[dict[str, dict[str, str]]]):
    """UnitFileState, ActiveState, NeedDaemonReload of units, by their names."""

    @staticmethod
    def default() -> dict[str, dict[str, str]]:
        return {}

    def command(self, units: Sequence[str]) -> StringCommand:
        asked = "Id,LoadState,UnitFileState,ActiveState,NeedDaemonReload"
        return quietly(["systemctl", "show", "-p", asked, "--", *units])

    def process(self, output: Iterable[str]) -> dict[str, dict[str, str]]:
        blocks: list[dict[str, str]] = [{}]
        for line in output:
            name, equals, value = line.partition("=")
            if equals:
                blocks[-1][name] = value
            else:
                blocks.append({})
        return {block["Id"]: block for block in blocks if "Id" in block}


class Said(FactBase[list[str]]):
    """The lines that a command prints, in the order in which it prints them; none if it fails."""

    @staticmethod
    def default() -> list[str]:
        return []

    def command(self, asked: Sequence[str]) -> StringCommand:
        return quietly(asked)

    def process(self, output: Iterable[str]) -> list[str]:
        return list(output)


class Pending(Said):
    """Units that have yet to take up a change: left by a run that was killed, too."""

    def command(self) -> StringCommand:  # type: ignore[override]
        return quietly(["ls", PENDING])


def quietly(*commands: Sequence[str]) -> StringCommand:
    """Commands one after the other, with nothing on standard error and a good end."""
    bits: list[object] = []
    for command in commands:
        bits += [*map(QuoteString, command), "2>/dev/null;"]
    return StringCommand(*bits, "true")


def _words(line: str) -> tuple[str, str, str]:
    return line.partition(" ")
