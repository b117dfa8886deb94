"""With which key a server comes in elsewhere, as deploy, and which hosts it knows there: where its
back-ups are copied to, and where its code is fetched from."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploy.vps.provision.connection import Line
from deploy.vps.provision.entries import File, as_user
from deploy.vps.provision.facts import Said
from deploy.vps.provision.operations import Act, Acts, files, step
from deploy.vps.provision.system import MADE
from deploy.vps.servers import Fleet, Server

KEY = "/home/deploy/.ssh/id_ed25519"
KNOWN = "/etc/ssh/ssh_known_hosts"
# Nobody is there to be asked whether a host is the right one: it is one that `provision` has met.
SSH = File(
    "/home/deploy/.ssh/config",
    MADE + "Host *\n"
    "    BatchMode yes\n"
    "    StrictHostKeyChecking yes\n"
    f"    GlobalKnownHostsFile {KNOWN}\n"
    "    UserKnownHostsFile none\n"
    "    UpdateHostKeys no\n",
    mode="600",
    owner="deploy",
    group="deploy",
)
# As deploy: $1 port, $2 user@host. Prints the key that the host showed, though it may not let us in
# yet: our key is told to people by the same run.
MEET = """set -eu
file=$(mktemp /tmp/hosts.XXXXXXXX)
trap 'rm -f "$file"' EXIT
said=$(ssh -F none -n -o BatchMode=yes -o ConnectTimeout=10 -o StrictHostKeyChecking=accept-new \\
    -o HashKnownHosts=no -o UpdateHostKeys=no -o GlobalKnownHostsFile=none \\
    -o UserKnownHostsFile="$file" -p "$1" "$2" true 2>&1 >/dev/null) || true
if [ ! -s "$file" ]; then printf '%s\\n' "$said" >&2; exit 1; fi
cat "$file"
"""
# As root: $1 how known_hosts names the host, then how it is met. Of what deploy says, one line for
# that host is taken.
PIN = f"""set -eu
name=$1
shift
met=$(runuser -u deploy -- "$@")
key=$(printf '%s\\n' "$met" | awk -v name="$name" '$1 == name {{ print $1, $2, $3; exit }}')
printf '%s\\n' "$key" | ssh-keygen -l -f - >/dev/null
new=$(mktemp {KNOWN}.XXXXXXXX)
trap 'rm -f "$new"' EXIT
[ ! -e {KNOWN} ] || cat {KNOWN} >"$new"
printf '%s\\n' "$key" >>"$new"
chmod 644 "$new"
mv -fT "$new" {KNOWN}
"""


def apply(fleet: Fleet, server: Server) -> None:
    if where := used_for(fleet, server):
        step("users", files, [SSH])
        step("users", _own_key, server.name)
        step("users", _known, [host for each in where if (host := Place.read(each))])


def used_for(fleet: Fleet, server: Server) -> list[str]:
    """Where the server comes in."""
    copy_to = fleet.backups.copy_to if server.has("database") else None
    runs_code = server.has("web") or server.has("worker")
    return [each for each in (copy_to, fleet.repository if runs_code else None) if each]


class Place:
    """Somebody's account on another machine."""

    def __init__(self, user: str, address: str, port: int = 22) -> None:
        self.login = f"{user}@{address}" if user else address
        self.port = port
        # As known_hosts has it.
        self.name = (address if port == 22 else f"[{address}]:{port}").lower()

    @staticmethod
    def read(where: str) -> "Place | None":
        """Of ssh://user@host:port/path, or user@host:path; none if it is not reached by SSH."""
        if "://" in where:
            url = urlsplit(where)
            if url.scheme != "ssh" or not url.hostname:
                return None
            return Place(url.username or "", url.hostname, url.port or 22)
        found = re.fullmatch(r"(?:([^@/:-][^@/:]*)@)?([^@/:-][^@/:]*):.*", where)
        return Place(found[1] or "", found[2]) if found else None


@operation()
def _own_key(name: str) -> Acts:
    if not host.get_fact(Said, asked=as_user("deploy", ["cat", f"{KEY}.pub"])):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"deploy@{name}", "-f", KEY]
        yield Act("make a key for deploy", as_user("deploy", command))


@operation()
def _known(places: list[Place]) -> Acts:
    for place in places:
        if not host.get_fact(Said, asked=["ssh-keygen", "-F", place.name, "-f", KNOWN]):
            yield Act(f"take the host key that {place.name} shows now", pin(place), may_fail=True)


def pin(place: Place) -> list[str]:
    meet = ["sh", "-c", MEET, "meet", str(place.port), place.login]
    return ["sh", "-c", PIN, "pin", place.name, *meet]


def told(fleet: Fleet, server: Server, line: Line) -> Iterator[str]:
    """What other machines have to let in, and what people are to compare."""
    if not (where := used_for(fleet, server)):
        return
    key = line.ask(["cat", f"{KEY}.pub"], user="deploy").out.strip()
    yield f"its own key, to be let in by {' and '.join(where)}: {key}"
    for place in filter(None, map(Place.read, where)):
        asked = ["ssh-keygen", "-l", "-F", place.name, "-f", KNOWN]
        found = line.ask(asked, user="deploy").out.strip().splitlines()
        if found:
            yield f"the host key that it takes for right, to be compared: {found[-1]}"
        else:
            yield f"it has not met {place.name} yet: is it reached from there? provision again"
