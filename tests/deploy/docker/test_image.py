"""The image: what it holds, as whom it runs, how large it is, and how fast it is built anew."""

import gzip
import json
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.environment import ROOT
from tests.deploy.docker.conftest import Figure
from tests.deploy.docker.site import docker, succeeds
from tests.waiting import until

BASE = "python:3.13-slim-trixie"
SECRETS = ("service/.env", "service/.env.production", "migrations/x.pem", "service/x.key")
NEEDLE = b"SECRET-OF-THE-TEST"
Build = Callable[[str], str]
# As much as a process needs to begin; nothing answers there.
SETTINGS = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "JWT_SECRET": "a secret of the tests, long enough",
}


@pytest.fixture(scope="module")
def image(images: Build) -> str:
    return images("image-test")


def run(image: str, *command: str, options: tuple[str, ...] = ()) -> str:
    return docker("run", "--rm", "--network", "none", *options, image, *command)


def test_it_is_small(image: str, figure: Figure) -> None:
    """At most 1.4 times what it cannot be without: the base, and the packages as they are."""

    def size(of: str) -> int:
        return int(docker("image", "inspect", "-f", "{{.Size}}", of))

    base, whole = size(BASE), size(image)
    count = "import pathlib; print(sum(p.lstat().st_size for p in pathlib.Path({!r}).rglob('*')"
    count += " if '__pycache__' not in p.parts))"
    packages, code = (int(run(image, "python", "-c", count.format(p))) for p in ("/venv", "/app"))
    parts = f"base {base / 1e6:.0f} MB, packages {packages / 1e6:.0f}, code {code / 1e6:.1f}"
    ratio = whole / (base + packages)
    figure(f"image {whole / 1e6:.0f} MB ({parts}): {ratio:.2f} of base + packages (limit 1.4)")
    assert whole <= 1.4 * (base + packages)


def test_it_holds_what_it_needs_and_nothing_else(image: str) -> None:
    found = run(image, "python", "-c", "import os; print(*sorted(os.listdir('/app')))").split()
    assert [name for name in found if name != "__pycache__"] == [
        *("gunicorn.conf.py", "migrations"),
        *("pyproject.toml", "service"),
    ]
    look = "import shutil; print([n for n in ('gcc', 'cc', 'make', 'git') if shutil.which(n)])"
    assert run(image, "python", "-c", look).strip() == "[]"
    # As root, who can look into each folder.
    look = "import os; print([p for p in ('/root/.cache', '/venv/bin/pip') if os.path.exists(p)])"
    assert run(image, "python", "-c", look, options=("--user", "0")).strip() == "[]"


@pytest.fixture
def dirty(tmp_path: Path) -> Path:
    """The repository as somebody may have it: with what must never get into an image."""
    for name in (".dockerignore", "Dockerfile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copy(ROOT / "gunicorn.conf.py", tmp_path)
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("service", "migrations"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    for name in (
        ".env",
        "secrets/jwt_secret",
        "tests/test_x.py",
        ".git/config",
        "service/x.pyc",
        *SECRETS,
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(NEEDLE)
    return tmp_path


def test_no_secret_and_no_test_gets_in_and_a_change_is_built_quickly(
    dirty: Path, tmp_path_factory: pytest.TempPathFactory, figure: Figure
) -> None:
    build = ("build", "--quiet", "--tag", "slipway:dirty", str(dirty))
    docker(*build)
    every = "import pathlib; print(*(p for p in pathlib.Path('/app').rglob('*')), sep='\\n')"
    names = run("slipway:dirty", "python", "-c", every).splitlines()
    never = (".env", "/tests", ".git", "secrets/")
    assert [name for name in names if any(each in name for each in never)] == []
    assert not {"/app/service/x.pyc", *(f"/app/{name}" for name in SECRETS)} & set(names)
    assert [
        part for part in parts("slipway:dirty", tmp_path_factory.mktemp("saved")) if NEEDLE in part
    ] == []
    with (dirty / "service" / "app.py").open("a") as code:
        code.write("\n# one line more\n")
    start = time.monotonic()
    docker(*build)
    figure(f"image built anew after a change of the code in {time.monotonic() - start:.1f} s")


def test_a_secret_is_found_in_a_layer_that_a_later_one_hides(tmp_path: Path) -> None:
    """The control."""
    # In two halves, or the history would have it too.
    steps = f"FROM {BASE}\nRUN printf %s%s SECRET -OF-THE-TEST >/x\nRUN rm /x\n"
    (tmp_path / "Dockerfile").write_text(steps)
    docker("build", "--quiet", "--tag", "slipway:hidden", str(tmp_path))
    assert len([part for part in parts("slipway:hidden", tmp_path) if NEEDLE in part]) == 1


def parts(image: str, folder: Path) -> Iterator[bytes]:
    """All layers, each with what later ones hide, and the settings and history, as they are saved
    and pushed."""
    docker("save", "--output", str(folder / "image.tar"), image)
    with tarfile.open(folder / "image.tar") as saved:
        for member in saved:
            if file := saved.extractfile(member):
                part = file.read()
                yield gzip.decompress(part) if part.startswith(b"\x1f\x8b") else part


def test_a_disk_that_is_full_is_said_and_the_last_image_stays(image: str, tmp_path: Path) -> None:
    """The folder of the packages has 8 MB, which is what a full disk looks like to that step."""
    before = docker("image", "inspect", "-f", "{{.Id}}", image)
    text, step = (ROOT / "Dockerfile").read_text(), "RUN python -m venv"
    assert step in text
    small = text.replace(step, f"RUN --mount=type=tmpfs,target=/venv,size=8m {step[4:]}")
    (tmp_path / "Dockerfile").write_text(small)
    said = docker("build", "-f", f"{tmp_path}/Dockerfile", "-t", image, str(ROOT), check=False)
    assert "no space left on device" in said.lower()
    assert docker("image", "inspect", "-f", "{{.Id}}", image) == before


def test_it_runs_as_nobody_and_may_write_nothing(image: str) -> None:
    about = json.loads(docker("image", "inspect", image))[0]["Config"]
    assert (about["User"], about["StopSignal"]) == ("10001:10001", "SIGTERM")
    assert about["Labels"]["org.opencontainers.image.revision"] == "image-test"
    assert about["Entrypoint"] is None
    tried = "import os\nfor p in ('/app/x', '/venv/x', '/app/service/app.py'):\n"
    tried += " try: open(p, 'a')\n except OSError as e: print(e.strerror)"
    assert run(image, "python", "-c", tried).split("\n")[:3] == ["Permission denied"] * 3


def test_a_bad_environment_is_said_at_once(image: str) -> None:
    said = docker("run", "--rm", "--network", "none", image, check=False)
    for name in ("DATABASE_URL", "REDIS_URL", "JWT_SECRET"):
        assert f"{name}  " in said
    assert "Traceback" not in said


HARDENED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")
HARDENED += ("--security-opt", "no-new-privileges:true")


@pytest.mark.parametrize("process", ["web", "worker", "scheduler"])
def test_each_process_runs_hardened_and_ends_by_sigterm(image: str, process: str) -> None:
    """As process 1, without an init, with a file system that it cannot write to."""
    given = [word for name, value in SETTINGS.items() for word in ("--env", f"{name}={value}")]
    command = ("python", "-m", "service", process)
    id = docker("run", "--detach", *HARDENED, *given, image, *command).strip()
    try:
        check = ("exec", id, "python", "-m", "service", "healthcheck")
        if process == "web":
            look = "import urllib.request as u; u.urlopen('http://localhost:8000/health/live')"
            check = ("exec", id, "python", "-c", look)
        until(lambda: succeeds(*check), seconds=30)
        docker("stop", "--time", "30", id)
        assert docker("inspect", "-f", "{{.State.ExitCode}}", id).strip() == "0"
    finally:
        docker("rm", "--force", id)
