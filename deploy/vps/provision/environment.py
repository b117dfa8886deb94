"""The service's .env on a server: made once; later, what is there stays, what is missing is added,
and addresses of the fleet's own database and Redis are brought up to date, as is HTTPS_ONLY.
`slipway env set` changes the rest."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploy.shell import Failed
from deploy.vps.host import envfile
from deploy.vps.provision.connection import OWN_FAILURE, Line
from deploy.vps.provision.entries import as_user
from deploy.vps.provision.facts import Said
from deploy.vps.provision.operations import Act, Acts, Check, Note, step
from deploy.vps.provision.secrets import Secrets
from deploy.vps.provision.variables import (
    ADDRESSES,
    HTTPS_ONLY,
    hosts,
    made_here,
    renewed,
    unserved,
    variables,
)
from deploy.vps.servers import Fleet, Server

SRV = "/srv/slipway"
FOLDER = f"{SRV}/env"
# The version that counts and what it says; nothing if there is none. $1 the folder.
LOOK = """file=$(readlink -f "$1/current") && [ -f "$file" ] || exit 0
echo "${file##*/}"
cat "$file"
"""
READ = as_user("deploy", ["sh", "-c", LOOK, "look", FOLDER])
# What is read becomes a new version, unless another one counts meanwhile; then the link. As deploy,
# whose folder it is: root would follow its links. $1 the folder, $2 the new version, $3 the old.
PUT = """set -eu
umask 077
cd "$1"
there=$(readlink -f current) && [ -f "$there" ] || there=
if [ "${there##*/}" != "$3" ]; then
    echo "its .env was changed meanwhile: provision again" >&2
    exit 1
fi
rm -f ".$2.new" .current.new
cat >".$2.new"
chgrp slipway ".$2.new"
chmod 640 ".$2.new"
mv -fT ".$2.new" "$2"
ln -s "$2" .current.new
mv -fT .current.new current
"""
# The .env of what serves, or works; nothing before the first release.
SERVES = """cd "$1" && [ -s history ] || exit 0
colour=blue
[ ! -e edge/green ] || colour=green
cat "colours/$colour/.env" 2>/dev/null || cat workers/.env
"""


@dataclass(frozen=True)
class Wanted:
    """What a server is to have; who has it already, if the server is new; the fleet's addresses."""

    variables: Mapping[str, str]
    peers: Sequence[Server]
    hosts: set[str]


def apply(fleet: Fleet, server: Server, secrets: Secrets) -> None:
    peers = [each for each in fleet.servers if each != server and runs_code(each)]
    wanted = Wanted(
        variables(fleet, server, secrets), peers if runs_code(server) else [], hosts(fleet)
    )
    step("environment", _environment, wanted)
    step("environment", _serves, wanted)


def runs_code(server: Server) -> bool:
    return server.has("web") or server.has("worker")


@operation()
def _environment(wanted: Wanted) -> Acts:
    lines: list[str] = host.get_fact(Said, asked=READ)
    old, text = _read(lines)
    line: Line = host.data.line
    try:
        given = {} if old else of_peers([Line(line.ssh, each) for each in wanted.peers], wanted)
        if given is None:
            yield Note("no other server answers that may have more variables: `vps env list` later")
            given = {}
        added, changed = differences(text, {**wanted.variables, **given}, wanted.hosts)
        new = envfile.changed(text, {**added, **changed})
        missing = [*unserved(envfile.values(new), wanted.variables, wanted.hosts)]
    except Failed as failure:
        yield Check("read .env", _raises(failure))
        return
    if added or changed:
        version = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + ".env"
        told = (("add", added), ("bring up to date", changed))
        says = " and ".join(f"{does} {', '.join(names)}" for does, names in told if names)
        command = ["sh", "-c", PUT, "put", FOLDER, version, old]
        yield Act(f"{says} in .env", as_user("deploy", command), new)
    yield from map(Note, missing)


def _read(lines: Sequence[str]) -> tuple[str, str]:
    """The version that counts, and its text."""
    version, *rest = lines or [""]
    return version, "".join(f"{line}\n" for line in rest)


def _raises(failure: Failed) -> Callable[[], None]:
    def check() -> None:
        raise failure

    return check


def differences(
    text: str, wanted: Mapping[str, str], hosts: set[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """What a .env lacks, and what it has that provisioning made and is not so any more. Raises
    Failed."""
    there = envfile.values(text)
    added = {name: value for name, value in wanted.items() if name not in there}
    now = {
        name: renewed(there[name], wanted.get(name, ""), hosts)
        for name in ADDRESSES
        if name in there
    }
    if HTTPS_ONLY in there:
        now[HTTPS_ONLY] = wanted.get(HTTPS_ONLY, there[HTTPS_ONLY])
    return added, {name: value for name, value in now.items() if value != there[name]}


def of_peers(peers: Iterable[Line], wanted: Wanted) -> dict[str, str] | None:
    """What the first of those that have variables was given: all but what provisioning finds for
    each by itself. None if one that may have some does not answer. Raises
    Failed."""
    silent = False
    for line in peers:
        ended = line.ask(line.as_root(READ))
        silent = silent or ended.code == OWN_FAILURE
        if ended.code == 0 and ended.out:
            _, text = _read(ended.out.splitlines())
            found = envfile.values(text)
            ours = {each for each in ADDRESSES if made_here(found.get(each, ""), wanted.hosts)}
            ours.add(HTTPS_ONLY)
            return {name: value for name, value in found.items() if name not in ours}
    return None if silent else {}


@operation()
def _serves(wanted: Wanted) -> Acts:
    """Each release has its variables: those that were made since count from the next one on."""
    asked = as_user("deploy", ["sh", "-c", SERVES, "serves", SRV])
    serving: list[str] = host.get_fact(Said, asked=asked)
    current: list[str] = host.get_fact(Said, asked=READ)
    try:
        serves, there = (envfile.values("\n".join(each)) for each in (serving, current[1:]))
    except Failed:
        return
    if old := [each for each in wanted.variables if serves and serves.get(each) != there.get(each)]:
        yield Note(f"what serves has another {', '.join(old)} than .env: `vps release` has it used")
