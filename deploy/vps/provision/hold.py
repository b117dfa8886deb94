"""One at a time: who provisions a server holds it until the end, however that comes."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from gevent import subprocess

from deploy.shell import Failed
from deploy.vps.provision.connection import Line

LOCK = "/run/slipway-provision.lock"  # in a folder that only root writes to
# $1 who. Held for as long as the call's standard input is open: it ends with who has called.
HOLD = f"""set -eu
umask 077
exec 9>>{LOCK}
if ! flock -n 9; then
    echo "$(cat {LOCK}) is provisioning it: wait until that has ended" >&2
    exit 1
fi
echo "$1, since $(date -u +%H:%M) UTC," >{LOCK}
echo held
exec cat >/dev/null
"""


@contextmanager
def held(line: Line, who: str) -> Iterator[None]:
    """Nobody else provisions the server meanwhile. Raises Failed, with who does."""
    command = line.as_root(["sh", "-c", HOLD, "hold", who])
    with subprocess.Popen(
        [*line.words(), shlex.join(command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us
    ) as holding:
        try:
            if holding.stdout.readline().strip() != b"held":
                said = holding.stderr.read().decode(errors="replace").strip()
                raise Failed(f"{line.server.name}: {said or 'the connection broke'}")
            yield
        finally:
            holding.stdin.close()
