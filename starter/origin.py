"""Where a clone comes from: the template's repository, and its commit that ours began with.

A clone by `git clone` shares its history; one by GitHub's "Use this template", or of files that
were committed anew, the content of its first commit. Whoever has changed that says it once.
"""

from starter.record import Record
from starter.refusal import Refused
from starter.repository import Repository

REF = "refs/starter/upstream"


def fetch(repository: Repository, upstream: str, branch: str) -> str:
    """The id of the template's newest commit. Raises Refused if it cannot be had."""
    if not upstream:
        raise Refused(
            "nobody has said where the template is: make update UPSTREAM=git-url (it is written"
            " down in pyproject.toml)"
        )
    words = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--")
    ended = repository.run(*words, upstream, f"+{branch or 'HEAD'}:{REF}")
    if ended.returncode != 0:
        said = " ".join(ended.stderr.split())
        raise Refused(f"{upstream} cannot be fetched: {said}")
    return repository.git("rev-parse", f"{REF}^{{commit}}")


def base(repository: Repository, ours: Record, theirs: str, since: str) -> str:
    """The template's commit up to which its changes are in ours. Raises Refused."""
    if since:
        if not repository.has(since) or not is_in(repository, since, theirs):
            raise Refused(f"SINCE={since} is no commit of the template's history")
        return repository.git("rev-parse", f"{since}^{{commit}}")
    if ours.commit and repository.has(ours.commit) and is_in(repository, ours.commit, theirs):
        return ours.commit
    shared = repository.run("merge-base", "HEAD", theirs)
    found = shared.stdout.strip() or _same_content(repository, theirs)
    if not found:
        raise Refused(
            "which commit of the template this was made of is not known: pyproject.toml says"
            f" commit = {ours.commit!r}, and no content of ours is one of its. Say it once:"
            " make update SINCE=commit"
        )
    return found


def is_in(repository: Repository, commit: str, other: str) -> bool:
    """Whether a commit is in the history of another, or is that."""
    return repository.run("merge-base", "--is-ancestor", commit, other).returncode == 0


def _same_content(repository: Repository, theirs: str) -> str:
    """The template's commit that has the very files of one of ours, the newest; or nothing."""
    listed = repository.git("log", "--format=%T %H", theirs).splitlines()
    by_tree = dict(line.split() for line in reversed(listed))
    for tree in repository.git("log", "--format=%T", "HEAD").splitlines():
        if tree in by_tree:
            return by_tree[tree]
    return ""
