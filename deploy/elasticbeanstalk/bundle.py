"""`python -m deploy bundle`: the source bundle, a zip of what is committed and of what Elastic
Beanstalk needs at its root."""

import io
import re
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path

from deploy.shell import Failed, say

FOLDER = "deploy/elasticbeanstalk"
STAGES = ("production", "staging")
SHIPPED = ("gunicorn.conf.py", "migrations", "pyproject.toml", "requirements.txt", "service")
LIMIT = 500 * 1024 * 1024  # bytes; Elastic Beanstalk takes no larger bundle
# Days before 1980 have no place in a zip; the time of the build would make each one another.
BEGINNING = (1980, 1, 1, 0, 0, 0)
PLACEHOLDER = re.compile(r":(REGION|ACCOUNT)\b")

Files = dict[str, tuple[int, bytes]]  # by name in the bundle: mode and content


def make(root: Path, stage: str, output: Path | None, *, limit: int = LIMIT) -> None:
    """Write the bundle of HEAD for a stage. Raises Failed for one that could not be deployed."""
    commit = _git(root, "rev-parse", "--verify", "HEAD^{commit}").decode().strip()
    target = output or root / ".elasticbeanstalk" / f"{stage}.zip"
    if target.exists() and not zipfile.is_zipfile(target):
        raise Failed(f"{target} is there, and is no zip: give another --output")
    files = files_of(root, commit, stage)
    packed = pack(files)
    if len(packed) > limit:
        raise Failed(f"the bundle has {len(packed)} bytes, Elastic Beanstalk takes {limit}")
    _write(target, packed)
    if left := _not_committed(root):
        say(f"warning: not committed, so not in it: {', '.join(left)}")
    say(f"{target}: {stage} at {commit}, {len(files)} files, {len(packed) // 1024} KiB")


def files_of(root: Path, commit: str, stage: str) -> Files:
    """What a commit ships, under its names in the bundle. Raises Failed."""
    files = _committed(root, commit, *SHIPPED)
    for name, each in _committed(root, commit, f"{FOLDER}/bundle").items():
        files[name.removeprefix(f"{FOLDER}/bundle/")] = each
    ((name, config),) = _committed(root, commit, f"{FOLDER}/stages/{stage}.config").items()
    _refuse_placeholders(name, config[1].decode())
    files[".ebextensions/20-stage.config"] = config
    # A file, not an option: it goes with the code, instance by instance, and comes back with it.
    files[".env"] = 0o644, f"COMMIT_SHA={commit}\n".encode()
    return files


def pack(files: Files) -> bytes:
    """The same zip for the same files, whenever and wherever it is made. Modes are kept: hooks are
    programs."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, (mode, content) in sorted(files.items()):
            entry = zipfile.ZipInfo(name, BEGINNING)
            entry.create_system = 3  # Unix, so that the mode counts
            entry.external_attr = (stat.S_IFREG | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            bundle.writestr(entry, content)
    return packed.getvalue()


def _committed(root: Path, commit: str, *paths: str) -> Files:
    """The files that a commit has at these paths. Raises Failed if it has none at one of them, or
    a link."""
    packed = _git(root, "-c", "tar.umask=0022", "archive", "--format=tar", commit, "--", *paths)
    found: Files = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for entry in archive:
            if entry.issym():
                raise Failed(f"{entry.name} is a link, which a bundle cannot hold")
            if content := archive.extractfile(entry):
                found[entry.name] = entry.mode, content.read()
    return found


def _refuse_placeholders(name: str, text: str) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        if found := PLACEHOLDER.search(line):
            raise Failed(f"{name}:{number}: {found[1]} is yours to put in, and to commit")


def _not_committed(root: Path) -> list[str]:
    """What would be shipped if it were committed: the first ten of it."""
    paths = (*SHIPPED, f"{FOLDER}/bundle", f"{FOLDER}/stages")
    listed = _git(root, "status", "--porcelain", "-z", "-uall", "--no-renames", "--", *paths)
    names = [each[3:] for each in listed.decode().split("\0")[:-1]]
    return [*names[:10], "…"] if len(names) > 10 else names


def _write(target: Path, packed: bytes) -> None:
    """All of it or nothing: half a zip is one that is found out on the instances."""
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(packed)
        part.replace(target)
    except OSError as error:
        raise Failed(f"{target} cannot be written: {error.strerror}") from None


def _git(root: Path, *arguments: str) -> bytes:
    try:
        ended = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True)  # noqa: S603, S607
    except FileNotFoundError:
        raise Failed("git is not installed here: the bundle is made of what it tracks") from None
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip()
        raise Failed(f"no bundle can be made of the last commit in {root}: {said}")
    return ended.stdout
