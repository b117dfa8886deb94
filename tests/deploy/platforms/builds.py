"""What is deployed: images and trees of versions, made of what git tracks, as a platform builds.

v1 is the code as it is; v2 has one migration more; the migration of v3 fails.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from deploy.elasticbeanstalk.bundle import FOLDER as EB  # target: elasticbeanstalk
from service.migrations import known
from tests.deploy.docker.site import call, docker
from tests.tracked import tracked

VERSIONS = ("v1", "v2", "v3")
BUILDPACK = """\
FROM python:3.13-slim
ENV PATH=/app/.heroku/python/bin:$PATH HOME=/app
WORKDIR /app
RUN useradd --no-create-home dyno && python -m venv /app/.heroku/python
COPY requirements.txt /app/
RUN --mount=type=cache,target=/root/.cache/pip \\
    pip install --quiet --disable-pip-version-check -r requirements.txt
COPY . /app
USER dyno
"""


class Build(NamedTuple):
    """What is deployed, and the version that it says it is."""

    what: str
    version: str


def revision(version: str) -> tuple[str, str] | None:
    """The name and text of the migration that a version has more than the one before."""
    if version == "v1":
        return None
    of, statement = {
        "v2": (known()[-1], "CREATE TABLE IF NOT EXISTS rehearsed (id int)"),
        "v3": ("rehearsed", "SELECT 1 / 0"),
    }[version]
    name = {"v2": "rehearsed", "v3": "broken"}[version]
    return f"{name}.py", (
        f"from alembic import op\nrevision = {name!r}\ndown_revision = {of!r}\n"
        f"def upgrade(): op.execute({statement!r})\n"
    )


def build(how: str, version: str) -> str:
    """The image of a version, built as `how` says: the Dockerfile, or as a buildpack does."""
    tag = f"slipway-rehearsal:{how.lower()}-{version}"
    if version != "v1":
        return _with_revision(tag, build(how, {"v2": "v1", "v3": "v2"}[version]), version)
    folder = Path(tempfile.mkdtemp(prefix="slipway-rehearsal-"))
    try:
        tracked(folder)
        if how == "buildpack":
            (folder / ".dockerignore").unlink()
            (folder / "Dockerfile").write_text(BUILDPACK)
        docker("build", "--quiet", "--tag", tag, str(folder))
    finally:
        shutil.rmtree(folder)
    return tag


def _with_revision(tag: str, base: str, version: str) -> str:
    found = revision(version)
    assert found is not None
    context = BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, text in (
            ("Dockerfile", f"FROM {base}\nCOPY {found[0]} /app/migrations/versions/\n"),
            found,
        ):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), 0o644
            tar.addfile(info, BytesIO(text.encode()))
    command = ["docker", "build", "--quiet", "--tag", tag, "-"]
    subprocess.run(command, input=context.getvalue(), check=True, capture_output=True)
    return tag


# target: elasticbeanstalk
def bundles(folder: Path, stage: str) -> dict[str, Build]:
    """`python -m deploy bundle` of a repository of what git tracks, one commit for each version."""
    repository = folder / "repository"
    repository.mkdir()
    tracked(repository)
    settings = repository / EB / "stages" / f"{stage}.config"
    text = settings.read_text()
    settings.write_text(text.replace("REGION", "eu-central-1").replace("ACCOUNT", "111122223333"))
    _git(repository, "init", "--quiet")
    return {version: _bundle(repository, stage, version) for version in VERSIONS}


def _bundle(repository: Path, stage: str, version: str) -> Build:
    if found := revision(version):
        (repository / "migrations" / "versions" / found[0]).write_text(found[1])
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", "--message", version)
    target = repository.parent / f"{version}.zip"
    command = [sys.executable, "-m", "deploy", "bundle", "--stage", stage, "--output", str(target)]
    subprocess.run(command, cwd=repository, check=True, capture_output=True, timeout=60)
    return Build(str(target), _git(repository, "rev-parse", "HEAD").strip())


def _git(repository: Path, *words: str) -> str:
    who = ["-c", "user.name=alice", "-c", "user.email=alice@example.com"]
    return call(["git", "-C", str(repository), *who, *words])


# end of target: elasticbeanstalk
