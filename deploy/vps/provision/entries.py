"""What is to lie on a server, and the command that puts it there.

Who owns a file writes it: root, in a folder of somebody else, would follow that one's links.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.vps.provision.facts import PENDING

# $1 what has to take it up, $2 who runs the rest.
PUT = f"""set -eu
if [ -n "$1" ]; then mkdir -p {PENDING}; : >"{PENDING}/$1"; fi
by=$2
shift 2
[ "$(id -un)" != "$by" ] || exec "$@"
exec runuser -u "$by" -- "$@"
"""
# $1 path, $2 group, $3 mode; then what checks it, if anything. Until it is in its place it lies in
# the nearest folder that nobody else may write to.
WRITE = """set -eu
umask 077
path=$1 group=$2 mode=$3
shift 3
stage=$(dirname "$path")
while [ -z "$(find "$stage" -maxdepth 0 -user "$(id -u)" ! -perm /022)" ]; do
    if [ "$stage" = / ]; then echo "$path is in no folder of $(id -un)" >&2; exit 1; fi
    stage=$(dirname "$stage")
done
name=${path##*/}
rm -f "$stage/.$name."????????.new
new=$(mktemp "$stage/.$name.XXXXXXXX.new")
trap 'rm -f "$new"' EXIT
cat >"$new"
chgrp "$group" "$new"
chmod "$mode" "$new"
[ $# = 0 ] || "$@" "$new"
mv -fT "$new" "$path"
"""


@dataclass(frozen=True)
class File:
    """`check` is a command that is given the new file's path before it is put in its place;
    `pending` the unit that is to take it up (see `settle`); `as_good` are contents that may stay.
    """

    path: str
    content: str
    mode: str = "644"
    owner: str = "root"
    group: str = "root"
    check: tuple[str, ...] = ()
    pending: str = ""
    as_good: tuple[str, ...] = ()

    @property
    def by(self) -> str:
        """Who writes it."""
        return self.owner


@dataclass(frozen=True)
class Folder:
    """`by` is who makes it: root, only where the folder that it is in is root's."""

    path: str
    mode: str = "755"
    owner: str = "root"
    group: str = "root"
    by: str = "root"


@dataclass(frozen=True)
class Gone:
    """No file is to be there; `by` is whose folder it would be in."""

    path: str
    pending: str = ""
    by: str = "root"


Entry = File | Folder | Gone


def put(file: File) -> list[str]:
    """The command that writes what it reads."""
    write = ["sh", "-c", WRITE, "write", file.path, file.group, file.mode, *file.check]
    return ["sh", "-c", PUT, "put", file.pending, file.by, *write]


def made(folder: Folder) -> list[str]:
    """The command that makes the folder, or mends it: by names, not ids."""
    command = ["install", "-d", "-m", folder.mode, "-g", folder.group]
    if folder.by == "root":
        return [*command, "-o", folder.owner, folder.path]
    return as_user(folder.by, [*command, folder.path])


def removed(entry: Gone) -> list[str]:
    return ["sh", "-c", PUT, "remove", entry.pending, entry.by, "rm", "-f", entry.path]


def as_user(user: str, command: Sequence[str]) -> list[str]:
    """What root runs with no more rights than that user's: it may touch what is theirs."""
    return ["runuser", "-u", user, "--", *command]


def digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
