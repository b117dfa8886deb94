"""What a key of CI may do here: sshd runs `slipway ssh` for it, whatever it asks for."""

import shlex

from deploy.shell import Failed
from deploy.vps.host.layout import PROGRAM, Layout

VERBS = (
    *("release", "prepare", "migrate", "turn", "workers", "smoke", "settle", "discard", "rollback"),
    *("resolve", "status", "hold", "balance"),
)
BACKUP = ["backup", "--reason", "migrate"]  # before a migration; and with these two, of the caller
OF_CALLER = ("--token", "--who")
FLAGS = ("--json", "--attended")


def allowed(asked: str | None, found: Layout) -> list[str]:
    """The command to execute, without a shell. Raises Failed for all that is not known to be
    harmless."""
    if not asked:
        raise Failed(f"this key opens no shell. It may push, and call: slipway {'|'.join(VERBS)}")
    try:
        words = shlex.split(asked)
    except ValueError:
        words = []
    if words[:2] == ["git", "receive-pack"]:
        words = ["git-receive-pack", *words[2:]]
    if words in [["git-receive-pack", path] for path in _spellings(found)]:
        return ["git-receive-pack", str(found.repository)]
    if words[:1] in (["slipway"], [PROGRAM]) and _is_verb(words[1:]):
        return [PROGRAM, *words[1:]]
    raise Failed(f"this key may not do that: {asked[:200]!r}")


def _is_verb(words: list[str]) -> bool:
    if words[:3] != BACKUP:
        return bool(words) and words[0] in VERBS
    rest = [word for word in words[3:] if word not in FLAGS]
    return len(rest) % 2 == 0 and all(name in OF_CALLER for name in rest[::2])


def _spellings(found: Layout) -> tuple[str, ...]:
    """Of the repository: as an ssh:// URL has it, and as scp would."""
    here = (found.repository, Layout.root / found.repository.name)  # its folder may be a link
    return tuple(f"{each}{end}" for each in here for end in ("", "/"))
