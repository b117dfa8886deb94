"""What a platform's manifest says, in one form for all of them; deploy/<target>/manifest.py reads
each into it.

Add a target: a folder with a manifest.py that has PLATFORM and `read`, and a line in
deploy/targets.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from deploy.reading import Node, Place
from service.environment import ROOT

Kind = Literal["web", "worker", "scheduler", "migrate"]
LASTING: tuple[Kind, ...] = ("web", "worker", "scheduler")  # that run until they are told to stop
KINDS: tuple[Kind, ...] = (*LASTING, "migrate")


@dataclass(frozen=True)
class Variable:
    """An environment variable as the manifest gives it."""

    name: str
    place: Place
    value: str | None = None  # what is written out; None if it comes from elsewhere
    made: bool = False  # by the platform, at random: a secret that nobody has seen
    by_hand: bool = False  # set there before the first deploy: `python -m deploy env`
    refers: str | None = None  # to what, if it is a reference: no two stages may share it


@dataclass(frozen=True)
class Probe:
    """An address that the platform asks."""

    path: str
    place: Place
    stops: bool = False  # who does not answer is ended (liveness), and not merely left alone
    port: Node | None = None  # where it is asked, if the manifest says


@dataclass(frozen=True)
class Process:
    """One kind of process, in one stage."""

    kind: Kind
    place: Place
    command: str | None  # None: the image's own
    variables: Mapping[str, Variable] = field(default_factory=dict)
    probes: tuple[Probe, ...] = ()
    port: Node | None = None  # where the platform sends requests to, if the manifest says
    grace: Node | None = None  # seconds from the signal to the end, if the manifest says
    drain: float = 0  # of these, seconds that pass before the process is told
    instances: Node | None = None  # the most
    least: Node | None = None  # how many there are at rest, if the manifest says
    checks: tuple[Node, ...] = ()  # commands that say whether it is well


@dataclass(frozen=True)
class Stage:
    """production or staging: all processes of it."""

    name: str
    place: Place
    processes: Mapping[Kind, Process]
    migrates_first: Place | None  # where it says so: before traffic goes to the new version


@dataclass(frozen=True)
class Platform:
    """What is so on a platform, whatever the manifest says. Sources: deploy/<target>/README.md."""

    name: str
    grace: float  # seconds from the signal to the end, if the manifest does not say
    grace_most: float  # the most that a manifest may say
    sets: Mapping[str, str | None] = field(default_factory=dict)  # variables, None: some value
    hops: int = 1  # proxies in front of web
    idle: float | None = None  # seconds after which its proxy closes a connection; None: unknown
    answers_within: float | None = None  # seconds that its proxy waits; None: unknown or as we say
    connections: int = 97  # that the database allows: by default 100, 3 of them reserved
    asks: bool = True  # web whether it is well; a platform that does not sends requests at once
    overlaps: bool = True  # the next web is there before the last one goes
    silent: Mapping[str, str] = field(default_factory=dict)  # rules with nothing to look at: why


@dataclass(frozen=True)
class Manifest:
    """All that the files of a target say."""

    platform: Platform
    stages: tuple[Stage, ...]
    python: tuple[Place, str] | None = None  # a version that a file names, such as 3.13
    deprecated: tuple[tuple[Place, str, str | None], ...] = ()  # what, and until when it is read
    schemas: tuple[tuple[str, Node], ...] = ()  # a schema's file name, and what it is to hold for
    findings: tuple["Finding", ...] = ()  # of its reader: what only this format can have wrong
    root: Path = ROOT  # where these files are
    schema_of: Callable[[Any], Any] | None = None  # makes one of such a file that is none itself


@dataclass(frozen=True)
class Finding:
    """Something wrong: what, where, and what to do."""

    rule: str
    place: Place
    what: str
    todo: str
    warns: bool = False  # of what will be wrong: it does not fail the check
