"""What lies on a server before there is a release: folders, the host program, the repository."""

import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploy.vps.provision.before import has_release
from deploy.vps.provision.connection import Line
from deploy.vps.provision.entries import Entry, File, Folder, as_user
from deploy.vps.provision.facts import Said
from deploy.vps.provision.operations import Act, Acts, files, only, step
from deploy.vps.servers import Fleet, Server
from service.environment import ROOT

LIBRARY = "/usr/local/lib/slipway"
# The host program's own modules, and those of deploy/ that it imports.
MODULES = (
    *("deploy/__init__.py", "deploy/history.py", "deploy/shell.py", "deploy/smoke.py"),
    "deploy/vps/__init__.py",
)
SRV = "/srv/slipway"
REPOSITORY = f"{SRV}/repository.git"
BELOW = ("releases", "environments", "colours", "edge")
# -P: the folder that somebody calls it from is no place for its modules.
COMMAND = (
    "#!/bin/sh\n"
    f'PYTHONPATH={LIBRARY} exec python3 -P -m deploy.vps.host.entry "$@"\n'
)  # fmt: skip
# Modules that are not compiled, or have changed since: who runs them may not write there.
STALE = f"""tag=$(python3 -c 'import sys; print(sys.implementation.cache_tag)')
find {LIBRARY} -name '*.py' | while read -r file; do
    name=${{file##*/}}
    [ "${{file%/*}}/__pycache__/${{name%.py}}.$tag.pyc" -nt "$file" ] || echo "$file"
done
"""
# Whatever the umask is: everybody reads it.
COMPILE = f"""umask 022
python3 -m compileall -q -f {LIBRARY} && chmod -R a+rX {LIBRARY}
"""
OURS = partial(Folder, owner="deploy", group="slipway")


def apply(fleet: Fleet, server: Server) -> None:
    step("program", only, LIBRARY, library(ROOT))
    step("program", _compiled)
    step("program", files, program_files(ROOT, fleet, server))
    step("program", _flags, flagged(fleet, server))
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
        *(OURS(f"{SRV}/{each}", by="deploy") for each in BELOW),
        OURS(f"{SRV}/env", mode="750", by="deploy"),
        Folder("/var/backups/slipway", mode="700", owner="deploy", group="deploy"),
    ]


def document(fleet: Fleet, server: Server) -> str:
    return json.dumps(fleet.document(server), indent=2) + "\n"


@operation()
def _compiled() -> Acts:
    if host.get_fact(Said, asked=["sh", "-c", STALE]):
        yield Act("compile the program", ["sh", "-c", COMPILE])


def flagged(fleet: Fleet, server: Server) -> Sequence[Server]:
    """Those that a balancer may be told to leave out."""
    return fleet.with_role("web") if server == fleet.balancer else ()


@operation()
def _flags(webs: Sequence[Server]) -> Acts:
    """Of the servers that get no requests, as `balance out` leaves them. Who has no release gets
    none: it is for the first one to take that flag away. Of a server that is gone, one stays: it
    would count as out, and so would a new one of that name."""
    line: Line = host.data.line
    look = ["find", f"{SRV}/edge", "-maxdepth", "1", "-name", "out-*", "-printf", "%f\\n"]
    there: set[str] = {*host.get_fact(Said, asked=as_user("deploy", look))}
    if old := sorted(there - {_flag(each) for each in webs}):
        yield Act(f"remove {', '.join(old)}", as_user("deploy", ["rm", "-f", "--", *_paths(old)]))
    new = [each for each in webs if _flag(each) not in there]
    if new := [each for each in new if has_release(Line(line.ssh, each)) is False]:
        says = f"give no requests to {', '.join(each.name for each in new)} before its release"
        yield Act(says, as_user("deploy", ["touch", "--", *_paths(map(_flag, new))]))


def _flag(server: Server) -> str:
    return f"out-{server.name}"


def _paths(flags: Iterable[str]) -> list[str]:
    return [f"{SRV}/edge/{each}" for each in flags]


@operation()
def _repository(branch: str) -> Acts:
    if not host.get_fact(Said, asked=as_user("deploy", ["cat", f"{REPOSITORY}/HEAD"])):
        command = ["git", "init", "-q", "--bare", f"--initial-branch={branch}", REPOSITORY]
        yield Act(f"make {REPOSITORY}", as_user("deploy", command))


def repository_files(root: Path, fleet: Fleet) -> list[Entry]:
    file = partial(File, owner="deploy", group="deploy")
    hook = (root / "deploy/vps/pre-receive").read_text()
    return [
        file(f"{REPOSITORY}/HEAD", f"ref: refs/heads/{fleet.branch}\n"),
        file(f"{REPOSITORY}/hooks/pre-receive", hook, mode="755"),
    ]
