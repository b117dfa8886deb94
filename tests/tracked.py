"""A copy of this repository's files, as a platform, a server or somebody who clones it has them."""

import shutil
import subprocess
from pathlib import Path

from service.environment import ROOT


def tracked(folder: Path) -> None:
    """A copy of what git tracks, with what is changed and not yet committed: no .env, no .venv."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
