"""Virtual environments: one for each lock of packages, built here, and used by all releases that
have that lock. What serves is never built over."""

import hashlib
import os
import platform
import sys
from pathlib import Path

from deploy.shell import uninterrupted
from deploy.vps.host import layout, progress, releases, surroundings
from deploy.vps.host.layout import Host, Layout

LOCK = "requirements.txt"
COMPLETE = "complete"  # the marker: what was in it when it was built
LEAST = 250 * 2**20  # bytes that one is taken to need, before any was built


def key(requirements: bytes, python: str | None = None, machine: str | None = None) -> str:
    """The name of the environment that these requirements need on this machine."""
    python = python or "{}.{}".format(*sys.version_info)
    found = hashlib.sha256(requirements)
    found.update(f"\n{python} {machine or platform.machine()}".encode())
    return found.hexdigest()[:16]


def place(found: Layout, name: str) -> tuple[Path, bool]:
    """Where the environment is or is to be built, and whether it is there and whole. One that is
    damaged, and that a release has, stays for what runs of it: the new one lies beside it."""
    used = {(each / ".venv").resolve() for each in releases.every(found)}
    folder, number = found.environments / name, 1
    while folder.exists():
        if is_whole(folder):
            return folder, True
        if folder.resolve() not in used:
            return folder, False
        number += 1
        folder = found.environments / f"{name}-{number}"
    return folder, False


def provide(host: Host, release: Path) -> None:
    """Link the release to its environment, which is built if need be."""
    folder, whole = place(host.layout, key((release / LOCK).read_bytes()))
    if (release / ".venv").resolve() == folder.resolve() and whole:
        return
    if whole:
        progress.step(f"packages: {folder.name}, as they are")
    else:
        progress.step(f"packages: build {folder.name}, which takes a while")
        releases.remove(folder)  # of one that was killed
        try:
            _make(host, folder, release / LOCK)
        except BaseException:
            with uninterrupted():
                releases.remove(folder)  # the next release may need its room
            raise
    layout.link(release / ".venv", folder)


def _make(host: Host, folder: Path, requirements: Path) -> None:
    folder.parent.mkdir(exist_ok=True)
    for command in (build(folder), install(folder, requirements)):
        host.runner.show(command, env=_environment())
    host.runner.run(compile_all(folder, folder / "lib"), env=_environment())
    seal(folder)


def build(folder: Path) -> list[str]:
    return [sys.executable, "-m", "venv", str(folder)]


def install(folder: Path, requirements: Path) -> list[str]:
    """As the Dockerfile has it: wheels only, each with its hash."""
    words = ["install", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-compile"]
    words += ["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--quiet"]
    return [str(folder / "bin/python"), "-m", "pip", *words, "-r", str(requirements)]


def compile_all(environment: Path, *what: Path) -> list[str]:
    """Bytecode that is taken as it is: who runs it may not write."""
    words = ["-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    return [str(environment / "bin/python"), *words, *map(str, what)]


def compile_release(release: Path) -> list[str]:
    names = ("service", "migrations", "deploy", "gunicorn.conf.py")
    return compile_all(release / ".venv", *(release / name for name in names))


def _environment() -> dict[str, str]:
    return surroundings.clean() | {"PIP_NO_INPUT": "1"}


def seal(folder: Path) -> None:
    """Mark it as whole, and let nobody write to it."""
    layout.write(folder / COMPLETE, fingerprint(folder))
    for path, _, names in os.walk(folder):
        for name in names:
            if not (file := Path(path, name)).is_symlink():
                file.chmod(file.stat().st_mode & ~0o222)
        Path(path).chmod(0o555)


def is_whole(folder: Path) -> bool:
    """It was built to its end, nothing was taken from it, and its Python is still there."""
    try:
        marked = (folder / COMPLETE).read_text()
    except OSError:
        return False
    return (folder / "bin/python").exists() and marked == fingerprint(folder)


def fingerprint(folder: Path) -> str:
    """Of all files and their sizes: their contents cost ten times as much to read."""
    lines = []
    for path, _, names in os.walk(folder):
        for name in names:
            if name != COMPLETE:
                file = os.path.join(path, name)  # noqa: PTH118 (some thousands: Path is slow)
                lines.append(f"{file[len(str(folder)) :]} {os.lstat(file).st_size}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def needs(found: Layout, requirements: bytes) -> int:
    """Bytes that the environment will take: 0 if it is there."""
    if place(found, key(requirements))[1]:
        return 0
    sizes = [size(each) for each in found.environments.glob("*") if each.is_dir()]
    return max([*sizes, LEAST])


def size(folder: Path) -> int:
    """Bytes of all files in a folder; what is linked to is not counted."""
    return sum(
        os.lstat(os.path.join(path, name)).st_size  # noqa: PTH118
        for path, _, names in os.walk(folder)
        for name in names
    )
