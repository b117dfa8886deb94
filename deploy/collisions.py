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
FILES = (
    ("uv.lock", ("heroku", "digitalocean"), LOCK),
    ("poetry.lock", ("heroku", "digitalocean"), LOCK),
    ("Pipfile.lock", ("heroku", "digitalocean"), LOCK),
    ("runtime.txt", ("heroku",), "deprecated, and goes before .python-version"),
    ("heroku.yml", ("heroku",), "builds the Dockerfile, and Procfile and buildpack count no more"),
    ("package.json", ("heroku", "digitalocean"), "is taken for an application of Node.js"),
    ("venv", ("heroku",), ENVIRONMENT),
    (".venv", ("heroku",), ENVIRONMENT),
    ("docker-compose.yml", ("elasticbeanstalk",), "is run instead: compose.yaml is the name"),
    (".ebextensions", ("elasticbeanstalk",), "belongs into deploy/elasticbeanstalk/bundle"),
    (".platform", ("elasticbeanstalk",), "belongs into deploy/elasticbeanstalk/bundle"),
    ("railway.json", ("railway",), CODE),
    ("railway.toml", ("railway",), CODE),
    ("nixpacks.toml", ("railway",), BUILDER),
    ("railpack.json", ("railway",), BUILDER),
)
# What must not be in a file that others need, for whom.
LINES = (
    (
        "Dockerfile",
        ("railway",),
        re.compile(r"--mount=type=cache(?!\S*id=s/)"),
        "its builder refuses a cache that is not named after one service",
    ),
)
# A file that must be there, for whom.
NEEDED = (
    ("requirements.txt", ("heroku", "elasticbeanstalk")),
    (
        "Dockerfile",
        ("cloudrun", "digitalocean", "ecs", "fly", "kubernetes", "railway", "render"),
    ),
)


def look(root: Path, target: str) -> Iterator[Finding]:
    """Those that are there and harm this target, and those that it lacks."""
    for name, harmed, how in FILES:
        if target in harmed and _is_shipped(root, name):
            yield Finding("collisions", Place(name, 1), f"{name}: {how}", "remove it")
    for name, harmed, pattern, how in LINES:
        if target in harmed and (root / name).exists():
            for number, line in enumerate((root / name).read_text().splitlines(), 1):
                if pattern.search(line):
                    yield Finding("collisions", Place(name, number), how, "leave it out")
    for name, needing in NEEDED:
        if target in needing and not (root / name).exists():
            yield Finding(
                "collisions",
                Place(name, 1),
                f"{name} is what is built, and is not there",
                "restore it",
            )


def _is_shipped(root: Path, name: str) -> bool:
    """What git does not track goes nowhere."""
    if not (root / name).exists():
        return False
    if not (root / ".git").exists():
        return True
    listed = ["git", "-C", str(root), "ls-files", "--", name]
    return bool(subprocess.run(listed, capture_output=True).stdout)  # noqa: S603
