"""`make check`: all that can be looked at without Docker, several things at once.

Add a check: a line in CHECKS, its command; or a function in OURS that prints what is wrong.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import create_engine

from deploy.docker.stack import servers_conf
from deploy.readiness import locks
from deploy.vps import edge  # target: vps
from service.devservers import Postgres
from service.environment import ROOT
from tests import site
from tests.nginx import here, kinds_of_servers  # target: vps
from tests.ports import free_port

AT_ONCE = 2  # more only get in each other's way on a small machine

Say = Iterator[str]


def program(name: str, *arguments: str) -> list[str]:
    return [str(Path(sys.executable).parent / name), *arguments]


def own(name: str) -> list[str]:
    return [sys.executable, "-m", "tests.check", name]


KUBERNETES = "tests/deploy/test_kubernetes.py"  # target: kubernetes
CHECKS = {  # the slow ones first
    "types": program("mypy"),
    "migrations": own("migrations"),
    "manifests": [sys.executable, "-m", "deploy", "check"],
    # target: kubernetes
    "kustomize": [sys.executable, *f"-m pytest -m kubectl {KUBERNETES}".split()],
    # end of target: kubernetes
    "layers": [sys.executable, "-m", "pytest", "-p", "no:randomly", "tests/test_layers.py"],
    "revisions": [sys.executable, "-m", "deploy", "lint-migrations"],
    "docs": own("docs"),
    "lint": program("ruff", "check", "."),
    "format": program("ruff", "format", "--check", "."),
    "dependencies": program("deptry", "."),
    "spelling": program("typos"),
    "locks": own("locks"),
    "line endings": own("endings"),
    "Dockerfile": program("hadolint", "Dockerfile"),
    # Without what else a machine may have: it finds the same everywhere.
    "workflows": program("actionlint", "-shellcheck=", "-pyflakes=", "-no-color"),
    "GitLab": program("check-jsonschema", "--builtin-schema=vendor.gitlab-ci", ".gitlab-ci.yml"),
    "Dependabot": program(
        "check-jsonschema", "--builtin-schema=vendor.dependabot", ".github/dependabot.yml"
    ),
    "zizmor": program("zizmor", "--offline", "--persona=pedantic", "--quiet", ".github"),
    "nginx": own("nginx"),
    "alerts": own("alerts"),
}


class Result(NamedTuple):
    name: str
    ok: bool
    output: str
    seconds: float


def run(name: str) -> Result:
    began = time.monotonic()
    ended = subprocess.run(
        CHECKS[name], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return Result(name, ended.returncode == 0, ended.stdout, time.monotonic() - began)


def main() -> int:
    """Run all checks; print a line for each and what the failed ones said. 1 if one failed."""
    failed = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for result in pool.map(run, CHECKS):
            mark = "ok    " if result.ok else "FAILED"
            print(f"{mark}  {result.name:14}{result.seconds:6.1f} s", flush=True)
            failed += [] if result.ok else [result]
    for result in failed:
        print(f"\n--- {result.name}\n{result.output.strip()}")
    return 1 if failed else 0


def migrations(root: Path = ROOT) -> Say:
    """What the models have and the revisions do not."""
    config = Config(toml_file=root / "pyproject.toml", stdout=StringIO())
    with (
        tempfile.TemporaryDirectory(prefix="service-check-") as folder,
        Postgres(Path(folder) / "postgres", options={"fsync": "off"}) as server,
    ):
        yield from differences(config, server.create_database("check"))


def differences(config: Config, url: str) -> Say:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        try:
            command.check(config)
        except CommandError as error:
            yield f"a revision is missing: {error}"
    engine.dispose()


def endings(root: Path = ROOT) -> Say:
    """Text files with the line ends of Windows, or without an end."""
    for path in text_files(root):
        raw = path.read_bytes()
        if b"\0" not in raw and (b"\r" in raw or (raw and not raw.endswith(b"\n"))):
            yield f"{path}: lines end in LF, the last one too"


# What all servers share, with an nginx of any age: the rest asks for 1.27.4, which test-deploy has.
SHARED = """
pid nginx.pid;
include main.conf;
http {{
    include http.conf;
    upstream web {{ server 127.0.0.1:8000; }}
    server {{ listen 127.0.0.1:{port}; set $upstream web; include service.conf; }}
    server {{
        listen 127.0.0.1:{tls_port} ssl;
        ssl_certificate fullchain.pem;
        ssl_certificate_key privkey.pem;
        set $upstream web;
        include tls.conf;
        include service.conf;
    }}
}}
"""


def nginx(root: Path = ROOT) -> Say:
    """What nginx refuses of deploy/nginx, and what gixy finds unsafe in it."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        yield "nginx is not installed: apt install nginx (its service need not run)"
        return
    with tempfile.TemporaryDirectory(prefix="service-check-") as made:
        folder = Path(made)
        for path in (root / "deploy" / "nginx").glob("*.conf"):
            (folder / path.name).write_text(path.read_text())
        for name in ("fullchain.pem", "privkey.pem"):
            shutil.copy(ROOT / "tests" / "localhost.pem", folder / name)
        (folder / "servers.conf").write_text(servers_conf("blue"))
        ports = {"port": free_port(), "tls_port": free_port()}
        (folder / "shared.conf").write_text(SHARED.format(**ports))
        yield from said([found, "-t", "-q", "-e", "stderr", "-p", made, "-c", "shared.conf"])
        for name in ("compose.conf", "production.conf"):
            yield from said(program("gixy", str(folder / name)))
        yield from servers_of_ones_own(found, folder)  # target: vps


# target: vps
def servers_of_ones_own(nginx: str, folder: Path) -> Say:
    """The same of each kind of server that deploy/vps writes nginx's settings for."""
    version = edge.version(subprocess.run([nginx, "-v"], capture_output=True, text=True).stderr)
    for kind, (fleet, server) in kinds_of_servers().items():
        kept = folder / kind
        kept.mkdir()
        files = edge.files(fleet, server, edge.Nginx(version, ipv6=False), ["127.0.0.2"])
        for name, text in files.items():
            (kept / name).write_text(text)
        # As a server has it: gixy takes any port that has 443 in it, 24431 too, to speak TLS.
        yield from said(program("gixy", str(kept / "nginx.conf")))
        for name, text in files.items():
            (kept / name).write_text(here(text, folder))
        yield from said([nginx, "-t", "-q", "-e", "stderr", "-p", str(kept), "-c", "nginx.conf"])


# end of target: vps
def said(command: Sequence[str]) -> Say:
    """What a command said, if it failed."""
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if ended.returncode != 0:
        yield ended.stdout


def alerts(root: Path = ROOT) -> Say:
    """What promtool refuses of deploy/monitoring, and which alerts do not fire as they must."""
    if (promtool := shutil.which("promtool")) is None:
        yield "promtool is not installed: apt install prometheus (its service need not run)"
        return
    yield from said([promtool, "check", "config", str(root / "deploy/monitoring/prometheus.yml")])
    cases = sorted((root / "tests/deploy/monitoring").glob("*.yml"))
    yield from said([promtool, "test", "rules", *map(str, cases)])


def docs(root: Path = ROOT) -> Say:
    """What the site's build warns of, and what of the site is not there."""
    with tempfile.TemporaryDirectory(prefix="service-check-") as made:
        yield from said(site.build(root, Path(made)))
        yield from site.dead_links(Path(made))
    yield from site.files_that_are_not_there(root)


def text_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_file():
            yield path
        elif path.name in (".ci", ".github") or not path.name.startswith((".", "__pycache__")):
            yield from text_files(path)


OURS: dict[str, Callable[[], Say]] = {
    "migrations": migrations,
    "locks": locks.problems,
    "endings": endings,
    "nginx": nginx,
    "alerts": alerts,
    "docs": docs,
}


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit(main())
    problems = list(OURS[sys.argv[1]]())
    print("\n".join(problems))
    sys.exit(1 if problems else 0)
