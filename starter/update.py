"""`make update`: the template's changes since the commit that is written down, merged into ours.

Base and theirs get our name and lose what we removed, so that only what differs in substance is
merged. What comes in is one commit by `git cherry-pick`: its conflicts are git's own.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from starter import origin, parts, record, revisions
from starter.record import Record
from starter.refusal import Refused
from starter.rename import respell
from starter.repository import Repository
from starter.tree import Tree

CONFLICTS = """
{count} of {all} files are in conflict: mend them, then
    git add FILES && git cherry-pick --continue
or take all of it back:
    git cherry-pick --abort"""
MERGED = """
{message}: {all} files, one commit. `git reset --hard HEAD~1` takes it back.
Next: make setup check test"""


def run(repository: Repository, upstream: str, branch: str, since: str, dry_run: bool) -> int:
    """Merge: 0 done or nothing to do, 1 conflicts. Raises Refused, with nothing changed."""
    repository.refuse_nobody()
    with repository.tree() as tree:
        ours, files = record.read(tree), tree.names()
    where = upstream or ours.upstream
    theirs = origin.fetch(repository, where, branch)
    base = origin.base(repository, ours, theirs, since)
    if origin.is_in(repository, theirs, base):
        print(f"Up to date with {where}, {theirs[:12]}.")
        return 0
    message = f"The template's changes up to {theirs[:12]}"
    with _as_ours(repository, base, ours, files) as tree:
        before = repository.commit(tree, f"The template at {base[:12]}")
    then = ours._replace(commit=theirs, upstream=where)
    with _as_ours(repository, theirs, then, files) as tree:
        after = repository.commit(tree, message, before)
    changes = repository.changes(before, after)
    print("\n".join(changes))
    if dry_run:
        print(f"\n{len(changes)} files of the template have changed up to {theirs[:12]}.")
        return 0
    return _merge(repository, after, message, len(changes))


@contextmanager
def _as_ours(
    repository: Repository, commit: str, ours: Record, files: Collection[str]
) -> Iterator[Tree]:
    """The template's files of a commit, without what we have removed and by our name."""
    with repository.tree(commit) as tree:
        every, gone = parts.read(tree), list[str]()
        # A revision that we have kept stays, though its part is gone.
        kept = [name for name in files if name.startswith(f"{revisions.FOLDER}/")]
        for name in ours.removed:
            if name in every:
                parts.remove(tree, name, gone, kept)
            gone.append(name)
        if record.read(tree).name != ours.name:
            respell(tree, ours.name)
        record.write(tree, commit=ours.commit, removed=ours.removed, upstream=ours.upstream)
        yield tree


def _merge(repository: Repository, commit: str, message: str, count: int) -> int:
    ended = repository.run("cherry-pick", commit)
    if ended.returncode == 0:
        print(MERGED.format(message=message, all=count))
        return 0
    conflicts = repository.git("diff", "--name-only", "--diff-filter=U").splitlines()
    if not conflicts:
        repository.run("cherry-pick", "--abort")
        raise Refused(f"git said: {' '.join(ended.stderr.split())}")
    print("\n".join(line for line in ended.stdout.splitlines() if line.startswith("CONFLICT")))
    print(CONFLICTS.format(count=len(conflicts), all=count))
    return 1
