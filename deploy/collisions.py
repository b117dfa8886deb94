"""Files at the root that change what a platform does, though they were made for something else."""

from collections.abc import Iterator
from pathlib import Path

from deploy.manifest import Finding
from deploy.reading import Place

ALL = ("cloudrun", "digitalocean", "fly", "heroku", "render")
# A file, whom it harms, how.
FILES = (
    ("uv.lock", ("heroku",), "a second package manager's lock: the build fails"),
    ("poetry.lock", ("heroku",), "a second package manager's lock: the build fails"),
    ("Pipfile.lock", ("heroku",), "a second package manager's lock: the build fails"),
    ("runtime.txt", ("heroku",), "it goes before .python-version"),
    ("venv", ("heroku",), "a virtual environment in the repository: the build fails"),
    ("docker-compose.yml", ALL, "Elastic Beanstalk would run it: compose.yaml is the name"),
    (
        "railway.json",
        ALL,
        "read by Railway until 2026-12-01 only, and in the way of its new format",
    ),
    (
        "railway.toml",
        ALL,
        "read by Railway until 2026-12-01 only, and in the way of its new format",
    ),
)


def look(root: Path, target: str) -> Iterator[Finding]:
    """Those that are there and harm this target."""
    for name, harmed, how in FILES:
        if target in harmed and (root / name).exists():
            yield Finding("collisions", Place(name, 1), how, "remove it")
