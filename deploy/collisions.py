"""Files at the root that change what a platform does, though they were made for something else.

Add one: a line in FILES. Sources: the pages of the platforms in deploy/<target>/README.md.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from deploy.manifest import Finding
from deploy.reading import Place

LOCK = "a second package manager's lock: the buildpack takes exactly one, and the build fails"
ENVIRONMENT = "a virtual environment in the repository: the build fails"
CODE = "the old format, read until 2026-12-01 only, and in the way of .railway/railway.py"
BUILDER = "changes how the image is built: the Dockerfile is what is tested"
# A file that must not be there, whom it harms, how.
FILES: tuple[tuple[str, str, str], ...] = (
    # target: digitalocean
    ("uv.lock", "digitalocean", LOCK),
    ("poetry.lock", "digitalocean", LOCK),
    ("Pipfile.lock", "digitalocean", LOCK),
    ("package.json", "digitalocean", "is taken for an application of Node.js"),
    # end of target: digitalocean
    # target: elasticbeanstalk
    ("docker-compose.yml", "elasticbeanstalk", "is run instead: compose.yaml is the name"),
    (".ebextensions", "elasticbeanstalk", "belongs into deploy/elasticbeanstalk/bundle"),
    (".platform", "elasticbeanstalk", "belongs into deploy/elasticbeanstalk/bundle"),
    # end of target: elasticbeanstalk
    # target: heroku
    ("uv.lock", "heroku", LOCK),
    ("poetry.lock", "heroku", LOCK),
    ("Pipfile.lock", "heroku", LOCK),
    ("package.json", "heroku", "is taken for an application of Node.js"),
    ("runtime.txt", "heroku", "deprecated, and goes before .python-version"),
    ("heroku.yml", "heroku", "builds the Dockerfile, and Procfile and buildpack count no more"),
    ("venv", "heroku", ENVIRONMENT),
    (".venv", "heroku", ENVIRONMENT),
    # end of target: heroku
    # target: railway
    ("railway.json", "railway", CODE),
    ("railway.toml", "railway", CODE),
    ("nixpacks.toml", "railway", BUILDER),
    ("railpack.json", "railway", BUILDER),
    # end of target: railway
)
# What must not be in a file that others need, for whom.
LINES: tuple[tuple[str, str, re.Pattern[str], str], ...] = (
    # target: railway
    (
        "Dockerfile",
        "railway",
        re.compile(r"--mount=type=cache(?!\S*id=s/)"),
        "its builder refuses a cache that is not named after one service",
    ),
    # end of target: railway
)
# What is built, where that is not the Dockerfile.
BUILT: dict[str, str] = {
    "elasticbeanstalk": "requirements.txt",  # target: elasticbeanstalk
    "heroku": "requirements.txt",  # target: heroku
}


def look(root: Path, target: str) -> Iterator[Finding]:
    """Those that are there and harm this target, and those that it lacks."""
    for name, harmed, how in FILES:
        if target == harmed and _is_shipped(root, name):
            yield Finding("collisions", Place(name, 1), f"{name}: {how}", "remove it")
    for name, harmed, pattern, how in LINES:
        if target == harmed and (root / name).exists():
            for number, line in enumerate((root / name).read_text().splitlines(), 1):
                if pattern.search(line):
                    yield Finding("collisions", Place(name, number), how, "leave it out")
    built = BUILT.get(target, "Dockerfile")
    if not (root / built).exists():
        what = f"{built} is what is built, and is not there"
        yield Finding("collisions", Place(built, 1), what, "restore it")


def _is_shipped(root: Path, name: str) -> bool:
    """What git does not track goes nowhere."""
    if not (root / name).exists():
        return False
    if not (root / ".git").exists():
        return True
    listed = ["git", "-C", str(root), "ls-files", "--", name]
    return bool(subprocess.run(listed, capture_output=True).stdout)  # noqa: S603
