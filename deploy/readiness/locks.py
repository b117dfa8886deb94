"""The lock files: what they do not do that pyproject.toml asks for."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from service.environment import ROOT

PEERS = "bench/requirements.txt"  # what `make bench` measures against
_PIN = re.compile(
    r"^([\w.\[\],-]+)==([^\s;]+)[^\n]*\\\n((?:    --hash=sha256:\w{64}[^\n]*\n)+)", re.M
)
_HEADED = re.compile(r"^\w", re.M)


def problems(root: Path = ROOT) -> Iterator[str]:
    """Where the lock files do not do what pyproject.toml asks for. Who has no benchmark any more
    has no lock of it."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"]
    users = dict(read_lock(root / "requirements.txt"))
    makers = dict(read_lock(root / "requirements-dev.txt"))
    measured = dict(read_lock(root / PEERS)) if (root / PEERS).is_file() else {}
    groups = project["dependency-groups"]
    yield from unmet("requirements.txt", users, wanted)
    yield from unmet("requirements-dev.txt", makers, wanted + groups["dev"])
    yield from unmet(PEERS, measured, groups.get("bench", []))
    for name, version in users.items():
        if makers.get(name) != version:
            yield f"requirements-dev.txt has {name} {makers.get(name)}, requirements.txt {version}"
    for name, version in measured.items():  # it is installed over the others
        if makers.get(name, version) != version:
            yield f"requirements-dev.txt has {name} {makers[name]}, {PEERS} {version}: make lock"
    for name in ("requirements.txt", "requirements-dev.txt", *([PEERS] if measured else [])):
        yield from oddities(name, (root / name).read_text())


def read_lock(path: Path) -> Iterator[tuple[str, str]]:
    for name, version, _ in _PIN.findall(path.read_text()):
        yield canonicalize_name(name.partition("[")[0]), version


def unmet(file: str, pinned: dict[str, str], wanted: Sequence[str]) -> Iterator[str]:
    for requirement in map(Requirement, wanted):
        version = pinned.get(canonicalize_name(requirement.name))
        if version is None or Version(version) not in requirement.specifier:
            yield f"{file} has {requirement.name} {version}, wanted is {requirement}: make lock"


def oddities(file: str, source: str) -> Iterator[str]:
    """Lines without hashes, and addresses: an index is the business of who installs."""
    if len(_PIN.findall(source)) != len(_HEADED.findall(source)):
        yield f"{file} has lines without a version and hashes: make lock"
    if "://" in source or re.search(r"^-", source, re.M):
        yield f"{file} has an address or an option: make lock"
