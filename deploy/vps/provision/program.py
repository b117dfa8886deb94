"""What lies on a server before there is a release: folders, the host program, the repository."""

import json
from functools import partial
from pathlib import Path

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploy.vps.provision.facts import Said
from deploy.vps.provision.operations import Act, Acts, Entry, File, Folder, files, only, step
from deploy.vps.servers import Fleet, Server
from service.settings import ROOT

LIBRARY = "/usr/local/lib/slipway"
# The host program's own modules, and those of deploy/ that it imports.
MODULES = ("deploy/__init__.py", "deploy/shell.py", "deploy/smoke.py", "deploy/vps/__init__.py")
SRV = "/srv/slipway"
REPOSITORY = f"{SRV}/repository.git"
COMMAND = (
    "#!/bin/sh\n"
    f'PYTHONPATH={LIBRARY} exec python3 -m deploy.vps.host.entry "$@"\n'
)  # fmt: skip
OURS = partial(Folder, owner="deploy", group="slipway")


def apply(fleet: Fleet, server: Server) -> None:
    step("program", only, LIBRARY, library(ROOT))
    step("program", files, program_files(ROOT, fleet, server))
    step("program", _repository, fleet.branch)
    step("program", files, repository_files(ROOT, fleet))


def modules(root: Path) -> list[str]:
    """Paths of the host program in a checkout."""
    found = sorted(root.joinpath("deploy/vps/host").glob("**/*.py"))
    return [*MODULES, *(str(path.relative_to(root)) for path in found)]


def library(root: Path) -> list[Entry]:
    """Folders, the outermost first, and files."""
    names = modules(root)
    parents = sorted({parent for name in names for parent in Path(name).parents})
    return [
        *(Folder(str(Path(LIBRARY, each))) for each in parents),
        *(File(f"{LIBRARY}/{name}", (root / name).read_text()) for name in names),
    ]


def program_files(root: Path, fleet: Fleet, server: Server) -> list[Entry]:
    return [
        File("/usr/local/bin/slipway", COMMAND, mode="755"),
        File("/usr/local/sbin/slipway-root", (root / "deploy/vps/root.py").read_text(), mode="755"),
        Folder("/etc/slipway"),
        File("/etc/slipway/server.json", document(fleet, server)),
        OURS(SRV),
        *(OURS(f"{SRV}/{name}") for name in ("releases", "environments", "colours", "edge")),
        OURS(f"{SRV}/env", mode="750"),
        Folder("/var/backups/slipway", mode="700", owner="deploy", group="deploy"),
    ]


def document(fleet: Fleet, server: Server) -> str:
    return json.dumps(fleet.document(server), indent=2) + "\n"


@operation()
def _repository(branch: str) -> Acts:
    if not host.get_fact(Said, asked=["cat", f"{REPOSITORY}/HEAD"]):
        command = ["git", "init", "-q", "--bare", f"--initial-branch={branch}", REPOSITORY]
        yield Act(f"make {REPOSITORY}", ["runuser", "-u", "deploy", "--", *command])


def repository_files(root: Path, fleet: Fleet) -> list[Entry]:
    file = partial(File, owner="deploy", group="deploy")
    hook = (root / "deploy/vps/pre-receive").read_text()
    return [
        file(f"{REPOSITORY}/HEAD", f"ref: refs/heads/{fleet.branch}\n"),
        file(f"{REPOSITORY}/hooks/pre-receive", hook, mode="755"),
    ]
