"""Releases: a folder each of code and environment, those that served, and which of them stay."""

import re
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deploy.shell import Failed
from deploy.vps.host import layout
from deploy.vps.host.layout import COLOURS, Host, Layout

NAME = re.compile(r"(\d{8}T\d{6}Z)-([0-9a-f]{12})")
VARIABLES = "release.env"  # what the units are told of a release
GONE_BACK_FROM = "-"  # before a name in the history


def new_name(found: Layout, commit: str, now: datetime | None = None) -> str:
    """Of a release of this commit that does not exist yet."""
    at = now or datetime.now(UTC)
    while (found.releases / (name := f"{at:%Y%m%dT%H%M%SZ}-{commit[:12]}")).exists():
        at += timedelta(seconds=1)
    return name


def find(found: Layout, name: str) -> Path:
    """The folder of a release. Raises Failed, with those that there are."""
    folder = found.releases / name
    if not NAME.fullmatch(name) or not folder.is_dir():
        there = "\n  ".join(["", *(each.name for each in every(found))]) or " none"
        raise Failed(f"there is no release {name!r} here; there are:{there}")
    return folder


def matching(names: Iterable[str], wanted: str) -> str | None:
    """The one that is called so or in part, by its time or its commit; None if there is none.
    Raises Failed if there are several."""
    part = wanted[:12] if re.fullmatch("[0-9a-f]{12,40}", wanted) else wanted
    there = sorted({name for name in names if part in name})
    if len(there) > 1:
        lines = "\n  ".join(["", *there])
        raise Failed(f"there are several releases {wanted!r}; which one?{lines}")
    return there[0] if there else None


def every(found: Layout) -> list[Path]:
    """All of them, oldest first."""
    if not found.releases.is_dir():
        return []
    return sorted(each for each in found.releases.iterdir() if NAME.fullmatch(each.name))


def commit(folder: Path) -> str:
    """The whole of it, as release.env has it; the first characters where that is gone."""
    try:
        text = (folder / VARIABLES).read_text()
    except OSError:
        text = ""
    said = re.search(r"^COMMIT_SHA=(\w+)$", text, re.MULTILINE)
    return said[1] if said else folder.name.partition("-")[2]


def write_variables(folder: Path, sha: str) -> None:
    layout.write(folder / VARIABLES, f"COMMIT_SHA={sha}\n")


def history(found: Layout) -> list[str]:
    """The names of those that served, the newest last, as far as they are still here."""
    return [name for name in _lines(found) if (found.releases / name).is_dir()]


def gone_back_from(found: Layout) -> list[str]:
    """The names of those that served until a rollback, as far as they are still here."""
    names = [line[1:] for line in _lines(found) if line.startswith(GONE_BACK_FROM)]
    return [name for name in names if (found.releases / name).is_dir()]


def kept(found: Layout) -> list[str]:
    """The names of all that have served, the one that does last: what a rollback takes."""
    return [*gone_back_from(found), *history(found)]


def _lines(found: Layout) -> list[str]:
    try:
        return found.history.read_text().split()
    except OSError:
        return []


def remember(found: Layout, name: str) -> None:
    """It serves, and what served after it was gone back from."""
    names, gone = history(found), gone_back_from(found)
    end = names.index(name) + 1 if name in names else len(names)
    gone = [each for each in [*gone, *names[end:]] if each != name]
    lines = [*(f"{GONE_BACK_FROM}{each}" for each in gone), *names[:end]]
    lines += [] if name in names else [name]
    layout.write(found.history, "".join(f"{line}\n" for line in lines))


def before(found: Layout, serves: str | None, wanted: str | None) -> Path:
    """Where a rollback goes: the release that was named, or its commit, which may be the one that
    serves, else the one that served before. Raises Failed if there is none."""
    if wanted:
        return find(found, matching([each.name for each in every(found)], wanted) or wanted)
    names = history(found)
    if serves in names:
        names = names[: names.index(serves)]
    if not names:
        raise Failed(
            "there is nothing to go back to: no release is kept that served before."
            " Any commit comes back by a release of it"
        )
    return found.releases / names[-1]


def linked(found: Layout) -> set[Path]:
    """Those that a unit may run: nobody removes them."""
    links = [found.workers, *map(found.colour, COLOURS)]
    return {folder for folder in map(layout.target, links) if folder}


def prune(host: Host, *also: Path) -> list[str]:
    """Remove releases that are neither linked to nor among the last that served, of which those
    that were gone back from go first; what was left half made; and environments and variables that
    none of the rest uses. Returns the names."""
    found = host.layout
    stay = linked(found) | {each.resolve() for each in also}
    stay |= {(found.releases / name).resolve() for name in lasting(kept(found), host.server.keep)}
    gone = [each for each in found.releases.iterdir() if each.name.startswith(".")]
    gone += [each for each in every(found) if each.resolve() not in stay]
    for each in gone:
        remove(each)
    rest = [*every(found), found.failed]
    used = {link.resolve() for each in rest for link in (each / ".venv", each / ".env")}
    for each in _children(found.environments):
        if each.resolve() not in used:
            remove(each)
            gone.append(each)
    used.add(found.env_current.resolve())
    for each in _children(found.env):
        if each.suffix == ".env" and each.resolve() not in used:
            each.unlink()
    return [each.name for each in gone]


def lasting(names: list[str], count: int) -> set[str]:
    """The last so many, and of the last so many commits the newest: a variable that is changed
    makes a release, and shall not use up the way back."""
    newest = {name.partition("-")[2]: name for name in names}
    commits = sorted(newest.values(), key=names.index)
    return {*names[-count:], *commits[-count:]}


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def discard(found: Layout, folder: Path, *, keep: bool) -> Path | None:
    """Take away a release that does not serve; where it is then, if it is to be looked at. Raises
    Failed if it serves."""
    if folder.resolve() in linked(found):
        raise Failed(f"{folder.name} is what a unit runs: it is not taken away")
    if not keep:
        remove(folder)
        return None
    remove(found.failed)
    folder.rename(found.failed)
    return found.failed


def remove(path: Path) -> None:
    """A file or a folder, though it is read-only or not there."""
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    if not path.exists():
        return
    for folder in (path, *path.rglob("*")):
        if folder.is_dir() and not folder.is_symlink():
            folder.chmod(0o755)
    shutil.rmtree(path)
