"""From a commit to a folder: what Git is asked, and the room that there must be first."""

import re
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from deploy.shell import CommandFailed, Failed
from deploy.vps.host import backups, environments, layout, progress, releases
from deploy.vps.host.layout import Host

AT_LEAST = 300 * 2**20  # bytes
FETCHED = "refs/slipway/fetched/"
# Git's housekeeping in the background would inherit the lock of releases, and keep it.
HERE = ("-c", "gc.autoDetach=false")
BRANCHES = f"+refs/heads/*:{FETCHED}*"


def fetch(host: Host, environ: Mapping[str, str]) -> None:
    """Bring what the repository has here, if commits come from one. Raises Failed."""
    if (url := host.server.repository) is None:
        return
    progress.step(f"fetch from {url}")
    quiet = {**environ, "GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}
    try:
        host.runner.run(
            git(host, *HERE, "fetch", "--quiet", "--prune", "--tags", "--force", url, BRANCHES),
            env=quiet,
        )
    except CommandFailed as failure:
        raise Failed(
            f"{url} cannot be fetched from: {failure.said}\n"
            "(of a private repository: is this server's key among its deploy keys?)"
        ) from None


def git(host: Host, *words: str) -> list[str]:
    return ["git", "--git-dir", str(host.layout.repository), *words]


def resolve(host: Host, ref: str, environ: Mapping[str, str]) -> str:
    """The commit that a name stands for; a branch is the one that was fetched, if any. Raises
    Failed."""
    if not re.fullmatch(r"[\w./@^~+-]{1,200}", ref) or ref.startswith("-"):
        raise Failed(f"{ref!r} is no name of a commit")
    for each in (f"{FETCHED}{ref}", ref) if host.server.repository else (ref,):
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{each}^{{commit}}")
        try:
            return host.runner.run(git(host, *words), env=environ).strip()
        except CommandFailed:
            continue
    where = host.server.repository or f"{host.layout.repository}, to which it must be pushed first"
    raise Failed(f"there is no commit {ref!r} in {where}")


def check_room(host: Host, commit: str, environ: Mapping[str, str]) -> None:
    """Raises Failed, with the figures, if a release may not fit, though back-ups that are too old
    were removed. Nothing has been written yet."""
    try:
        words = ("cat-file", "blob", f"{commit}:{environments.LOCK}")
        lock = host.runner.run(git(host, *words), env=environ).encode()
    except CommandFailed:
        raise Failed(f"commit {commit[:12]} has no {environments.LOCK}: it is no Slipway") from None
    last = max(releases.every(host.layout), default=None)
    needed = 3 * environments.size(last) if last else 0
    needed = max(AT_LEAST, needed + environments.needs(host.layout, lock))
    if _least(host)[1] < needed and (gone := backups.make_room(host)):
        progress.detail(f"for want of room, old back-ups were removed: {', '.join(gone)}")
    folder, free = _least(host)
    if free < needed:
        raise Failed(
            f"the disk is full: {folder} has {free >> 20} MiB free, and a release needs"
            f" {needed >> 20} MiB. Nothing was touched. What takes room: old back-ups in"
            f" {host.layout.backups}, the journal (journalctl --vacuum-size=200M)"
        )


def _least(host: Host) -> tuple[Path, int]:
    """Of the folders that a release writes to, the one with the least room, and that in bytes."""
    folders = (host.layout.root, host.layout.releases, host.layout.backups)
    return min(((each, shutil.disk_usage(each).free) for each in folders), key=lambda one: one[1])


def unpack(host: Host, commit: str, environ: Mapping[str, str], at: datetime | None = None) -> Path:
    """A new release with the files of a commit. Raises Failed; nothing stays then."""
    name = releases.new_name(host.layout, commit, at)
    progress.step(f"unpack {commit[:12]} as {name}")
    parent = host.layout.releases
    packed, new = parent / f".{name}.tar", parent / f".{name}"
    try:
        archive = ("-c", "tar.umask=0022", "archive", "--format=tar", f"--output={packed}", commit)
        host.runner.run(git(host, *archive), env=environ)
        new.mkdir()
        host.runner.run(["tar", "--extract", f"--file={packed}", f"--directory={new}"])
        if not (new / "deploy/vps/host/__main__.py").is_file():
            raise Failed(f"commit {commit[:12]} has no deploy/vps/host: it is from before that")
        releases.write_variables(new, commit)
        new.rename(parent / name)
        layout.sync(parent)
    finally:
        releases.remove(packed)
        releases.remove(new)
    return parent / name
