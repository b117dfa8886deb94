"""How the code gets to the servers: pushed from this clone, or fetched by them."""

from datetime import UTC, datetime
from pathlib import Path

from deploy.shell import CommandFailed, Failed, run, say
from deploy.vps.failures import OPERATOR, UNFINISHED, failure
from deploy.vps.servers import Fleet, Server
from deploy.vps.ssh import REPOSITORY, Ssh, all_of

PUSH_WITHIN = 600  # seconds
FULL = "No space left on device"
ABSENT = "does not appear to be a git repository"
_LOST = "fatal: Could not read from remote repository"  # Git, after what ssh has said


def commit_of(root: Path, ref: str) -> str:
    """The commit of a branch, tag or abbreviation in this clone. Raises Failed."""
    if ref.startswith("-"):
        raise Failed(f"{ref} is no branch, tag or commit")
    try:
        return run(["git", "-C", str(root), "rev-parse", "--verify", f"{ref}^{{commit}}"]).strip()
    except CommandFailed:
        raise Failed(
            f"{ref} is no commit of this clone: git fetch, or see git log --oneline"
        ) from None


def say_what_is_not_in_it(root: Path, ref: str) -> None:
    """Changes that were not committed are not released."""
    changed = run(["git", "-C", str(root), "status", "--porcelain"]).splitlines()
    if ref == "HEAD" and changed:
        what = "1 file is" if len(changed) == 1 else f"{len(changed)} files are"
        say(f"  {what} changed here and not committed: not released")


def push(root: Path, ssh: Ssh, servers: tuple[Server, ...], commit: str) -> None:
    """Have the commit on each server, without releasing it. Raises Failed."""
    if run(["git", "-C", str(root), "rev-parse", "--is-shallow-repository"]).strip() == "true":
        raise Failed(
            "this clone is shallow, and no server takes a part of a history: git fetch --unshallow."
            " In GitHub Actions: `fetch-depth: 0` of actions/checkout"
        )
    git = ["git", "-C", str(root), "-c", f"core.sshCommand={ssh.git()}"]

    def one(server: Server) -> None:
        try:
            run([*git, "push", "--quiet", url(server), spelt(commit)], timeout=PUSH_WITHIN)
        except CommandFailed as error:
            if FULL in error.said:
                raise Failed(
                    f"{server.name}: the disk is full, and the code was not taken. Nothing was"
                    " touched. `keep` and `keep_days` in servers.toml say what stays"
                ) from None
            if ABSENT in error.said:
                raise Failed(f"{server.name}: {UNFINISHED}") from None
            said, lost, _ = error.said.partition(_LOST)
            raise failure(server, 255 if lost else 1, said) from None

    all_of(servers, one)


def url(server: Server) -> str:
    host = f"[{server.address}]" if ":" in server.address else server.address
    return f"ssh://{OPERATOR}@{host}:{server.port}{REPOSITORY}"


def spelt(commit: str) -> str:
    """Under a name that no hook takes for a release."""
    return f"{commit}:refs/slipway/{commit}"


def taken_from_here(fleet: Fleet) -> bool:
    return fleet.repository is None


def moment() -> str:
    """The first part of a release's name: when it was called for, in UTC."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
