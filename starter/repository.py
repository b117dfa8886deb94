"""The clone as git has it: trees are changed beside it, and come into it as one commit.

So a verb that fails has changed nothing, and `git reset --hard HEAD~1` takes one back.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starter.refusal import Refused
from starter.tree import Tree

ROOT = Path(__file__).parent.parent


class Repository:
    """The git repository of a folder. Raises Refused if it is none, or has no commit."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        top = self.run("rev-parse", "--show-prefix")
        if top.returncode != 0 or top.stdout.strip() or not self.has("HEAD"):
            raise Refused(
                f"{root} is not the root of a git repository with a commit: git init, git add"
                " --all, git commit"
            )

    def git(self, *words: str) -> str:
        """What git prints. Raises Refused with what it says, if it fails."""
        return _printed(self.run(*words))

    def has(self, name: str) -> bool:
        """Whether a name or id is a commit of this repository."""
        return self.run("rev-parse", "--quiet", "--verify", f"{name}^{{commit}}").returncode == 0

    def refuse_dirty(self) -> None:
        """Raises Refused if something is not committed: it could not be told from what we do."""
        if changed := self.run("status", "--porcelain").stdout.splitlines():
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise Refused(
                f"{changed[0][3:]}{more} is not committed: git commit or git stash first, so that"
                " what is changed here can be told from it and taken back"
            )

    def refuse_nobody(self) -> None:
        """Raises Refused if git does not know in whose name a commit is."""
        if self.run("var", "GIT_COMMITTER_IDENT").returncode != 0:
            raise Refused("git does not know who you are: git config user.name and user.email")

    @contextmanager
    def tree(self, commit: str = "HEAD") -> Iterator[Tree]:
        """The files of a commit in a folder of their own, to be changed."""
        with tempfile.TemporaryDirectory(prefix="starter-") as made:
            self._beside(Path(made), "read-tree", commit)
            self._beside(Path(made), "checkout-index", "--all", f"--prefix={made}/tree/")
            yield Tree(Path(made) / "tree")

    def commit(self, tree: Tree, message: str, *parents: str) -> str:
        """The id of a new commit of these files; no branch moves."""
        with tempfile.TemporaryDirectory(prefix="starter-") as made:
            # By force: what is tracked though it is ignored stays so.
            words = (f"--work-tree={tree.root}", "add", "--all", "--force")
            self._beside(Path(made), *words, cwd=tree.root)
            written = self._beside(Path(made), "write-tree")
        after = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", written, *after, "-m", message)

    def advance(self, commit: str) -> None:
        """Bring branch and work tree to a commit that follows HEAD. Raises Refused."""
        self.git("merge", "--quiet", "--ff-only", commit)

    def changes(self, old: str, new: str) -> list[str]:
        """One line for each file: A, M, D or R, and its name."""
        told = self.git("diff", "--name-status", "--find-renames", old, new)
        return told.replace("\t", "  ").splitlines()

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return _run(["git", *words], self.root)

    def _beside(self, folder: Path, *words: str, cwd: Path | None = None) -> str:
        """With an index of its own: that of the clone stays as it is."""
        index, here = f"GIT_INDEX_FILE={folder}/index", self.git("rev-parse", "--absolute-git-dir")
        return _printed(_run(["env", index, "git", f"--git-dir={here}", *words], cwd or self.root))


def _run(command: list[str], cwd: Path) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except FileNotFoundError:
        raise Refused("git is not installed") from None


def _printed(ended: "subprocess.CompletedProcess[str]") -> str:
    if ended.returncode != 0:
        said = " ".join((ended.stderr.strip() or ended.stdout.strip()).split())
        raise Refused(f"git said: {said or f'exit {ended.returncode}'}")
    return ended.stdout.strip()
